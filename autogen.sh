#!/bin/sh
# autogen.sh         makes ./configure, nothing else
# autogen.sh run     builds in ./build and serves etc/quickstart.conf on
#                    http://127.0.0.1:8080 until Ctrl-C
# autogen.sh check   builds in ./build and runs every test
#
# `run` and `check` first install the Debian packages that are missing, through
# apt-get as root or by sudo, and name them before they do. Where all are there
# apt-get is not called.
set -eu
cd "$(dirname "$0")"

build_packages="gcc make autoconf automake pkg-config libc6-dev libuv1-dev
	libconfig-dev libcurl4-openssl-dev libssl-dev libjansson-dev
	libsqlite3-dev libyaml-dev libjs-dygraphs python3 ca-certificates"
test_packages="libcriterion-dev curl openssl binutils g++ nginx-light nodejs
	npm abigail-tools systemd rsyslog rsyslog-gnutls prometheus
	prometheus-alertmanager chromium"

say()
{
	echo "autogen.sh: $*" >&2
}

make_configure()
{
	autoreconf -fi
}

# The lists below are words apart on purpose.
# shellcheck disable=SC2086
install_missing()
{
	if ! command -v dpkg-query >/dev/null 2>&1; then
		say "not a Debian system; these packages' equivalents are needed:"
		say "$*"
		return
	fi
	missing=
	for package; do
		case $(dpkg-query -W -f='${db:Status-Status}' "$package" \
			2>/dev/null || true) in
		installed) ;;
		*) present "$package" || missing="$missing $package" ;;
		esac
	done
	[ -n "$missing" ] || return 0

	say "missing Debian packages:$missing"
	if [ "$(id -u)" -eq 0 ]; then
		root=
	elif command -v sudo >/dev/null 2>&1; then
		root=sudo
	else
		say "neither root nor sudo: install them, then start again"
		exit 1
	fi
	apt="$root env DEBIAN_FRONTEND=noninteractive apt-get -q -y
		-o DPkg::Lock::Timeout=300"
	$apt update
	$apt install --no-install-recommends $missing
}

# A tool that came by another way than its package serves as well.
present()
{
	case $1 in
	gcc | make | autoconf | automake | curl | openssl | python3 | npm)
		command -v "$1" >/dev/null 2>&1 ;;
	g++) command -v c++ >/dev/null 2>&1 ;;
	pkg-config) command -v pkg-config >/dev/null 2>&1 ;;
	nodejs) command -v node >/dev/null 2>&1 ;;
	nginx-light) command -v nginx >/dev/null 2>&1 ||
		[ -x /usr/sbin/nginx ] ;;
	systemd) command -v systemd-analyze >/dev/null 2>&1 ;;
	rsyslog) command -v rsyslogd >/dev/null 2>&1 ||
		[ -x /usr/sbin/rsyslogd ] ;;
	abigail-tools) command -v abidiff >/dev/null 2>&1 ;;
	chromium) command -v chromium >/dev/null 2>&1 ;;
	prometheus) command -v promtool >/dev/null 2>&1 ;;
	*) return 1 ;;
	esac
}

# build CONDITION: configures again where CONDITION fails, and makes what is not
# up to date.
build()
{
	if [ -f config.status ]; then
		say "this folder is configured in place; 'make distclean' first"
		exit 1
	fi
	if [ ! -f configure ] || [ ! -f Makefile.in ] ||
		[ -n "$(find configure.ac -newer configure)" ]; then
		say "making configure"
		make_configure
	fi
	mkdir -p build
	if [ ! -f build/Makefile ] || ! "$1"; then
		say "configuring ./build"
		(cd build && ../configure --quiet)
	fi
	say "building in ./build"
	make -C build --no-print-directory -s -j"$(nproc)" all
}

# Was ./build configured when the unit tests' library was there?
has_tests()
{
	grep -q '^CRITERION_LIBS = .*criterion' build/Makefile
}

case ${1-} in
'')
	make_configure
	;;
run)
	shift
	# shellcheck disable=SC2086
	install_missing $build_packages
	build true
	ATOMD_PLUGIN_DIR=$PWD/build/plugins/built
	ATOMD_DASHBOARD_DIR=$PWD/etc/dashboard
	ATOMD_STATE=${ATOMD_STATE:-$PWD/build/state}
	# Where /run is not ours to write to, the admin socket stands here.
	if [ "$(id -u)" -ne 0 ]; then
		XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$PWD/build/run}
		mkdir -p "$XDG_RUNTIME_DIR"
		export XDG_RUNTIME_DIR
	fi
	export ATOMD_PLUGIN_DIR ATOMD_DASHBOARD_DIR ATOMD_STATE
	exec build/atomd -c etc/quickstart.conf "$@"
	;;
check)
	# shellcheck disable=SC2086
	install_missing $build_packages $test_packages
	build has_tests
	# Tests wait half of the time.
	make -C build --no-print-directory -j"$((2 * $(nproc)))" check
	;;
*)
	sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
