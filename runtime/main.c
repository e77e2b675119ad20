/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "core/memory.h"
#include "core/text.h"
#include "daemon.h"
#include "plugin/registry.h"

#define EXIT_USAGE    2
#define OVERRIDES_MAX 256

static const char usage[] =
	"Usage: atomd -c FILE [-t] [-D PATH=VALUE]...\n"
	"       atomd run [-D PATH=VALUE]... -- COMMAND [ARGUMENT]...\n"
	"\n"
	"Serves agents: language-model and data-processing agents behind keys\n"
	"and limits, on the right number of instances.\n"
	"\n"
	"  -c FILE         read this configuration (libconfig syntax)\n"
	"  -t              check it, plugins included, and exit (78: it is "
	"wrong)\n"
	"  -D PATH=VALUE   override a scalar, e.g. -D log_level=debug or\n"
	"                  -D agents.chat.backend.model=gpt-4o-mini\n"
	"  run -- COMMAND  serve one process agent named `agent` without a "
	"file\n"
	"  -V, --version   print the version and exit\n"
	"  -h, --help      print this and exit\n"
	"\n"
	"SIGHUP reads the configuration again; SIGTERM stops gracefully.\n"
	"See atomd(8) and atomctl(1).\n";

static int wrong_usage(const char *what, const char *found)
{
	(void)fprintf(stderr, "atomd: %s%s%s\nTry 'atomd --help'.\n", what,
		      found != NULL ? ": " : "", found != NULL ? found : "");
	return EXIT_USAGE;
}

/* "PATH=VALUE" -> override; writes a NUL into the argument. */
static int add_override(struct daemon_options *options,
			struct config_override *overrides, char *argument)
{
	char *equals = strchr(argument, '=');

	if (equals == NULL || equals == argument)
		return wrong_usage("-D expects PATH=VALUE, found", argument);
	if (options->override_count == OVERRIDES_MAX)
		return wrong_usage("more than 256 -D options", NULL);
	*equals = '\0';
	overrides[options->override_count].path = argument;
	overrides[options->override_count++].value = equals + 1;
	return EXIT_SUCCESS;
}

static int probe(const char *text)
{
	int64_t count;

	if (!text_to_int(text, &count) || count < 1 || count > 1 << 20)
		return wrong_usage("--probe expects a number of plugins, found",
				   text);
	return plugin_probe_main((int)count);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct config_override overrides[OVERRIDES_MAX];
	struct daemon_options options = { .overrides = overrides };
	bool run = argc > 1 && strcmp(argv[1], "run") == 0;
	bool check = false;
	int option, status;

	/* The loader's own helper; see plugin/registry.h. */
	if (argc == 3 && strcmp(argv[1], "--probe") == 0)
		return probe(argv[2]);
	if (run)
		optind = 2;
	while ((option = getopt_long(argc, argv, "+c:tD:hV", longs, NULL)) !=
	       -1) {
		switch (option) {
		case 'c':
			options.config_path = optarg;
			break;
		case 't':
			check = true;
			break;
		case 'D':
			status = add_override(&options, overrides, optarg);
			if (status != EXIT_SUCCESS)
				return status;
			break;
		case 'V':
			(void)printf("atomd %s (plugin ABI %d.%d)\n",
				     PACKAGE_VERSION, ATOM_ABI_MAJOR,
				     ATOM_ABI_MINOR);
			return EXIT_SUCCESS;
		case 'h':
			(void)fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			return wrong_usage("unknown or incomplete option",
					   NULL);
		}
	}
	if (run && options.config_path != NULL)
		return wrong_usage("run takes no configuration, found -c",
				   options.config_path);
	if (run && optind < argc)
		options.command = &argv[optind];
	else if (run)
		return wrong_usage("run expects `-- COMMAND`", NULL);
	else if (optind < argc)
		return wrong_usage("unexpected argument", argv[optind]);
	if (!run && options.config_path == NULL)
		return wrong_usage("a configuration is needed: -c FILE, or "
				   "`run -- COMMAND`",
				   NULL);
	return check ? daemon_check(&options) : daemon_serve(&options);
}
