/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The structs that every plugin and every daemon of major 1 agree on, written
 * down by hand: what layout-1.0.txt says of them is generated, and a generator
 * can be wrong.  Compiled as C and as C++, never run.
 */

#include <atomd/audit.h>
#include <atomd/backend.h>
#include <atomd/deployment.h>
#include <atomd/history.h>
#include <atomd/host.h>
#include <atomd/monitor.h>
#include <atomd/plugin.h>
#include <atomd/scaling.h>
#include <atomd/store.h>
#include <atomd/thread.h>

#ifdef __cplusplus
#define PROMISE(what) static_assert(what, #what)
#else
#define PROMISE(what) _Static_assert(what, #what)
#endif
#define AT(type, member, offset)                            \
	PROMISE(offsetof(struct type, member) == (offset)); \
	PROMISE(offsetof(struct type, member) <= sizeof(struct type))
#define SIZE(type, size) PROMISE(sizeof(struct type) == (size))

#if defined(__LP64__)

/* A daemon reads these before it knows anything else of a plugin. */
AT(atom_plugin, magic, 0);
AT(atom_plugin, struct_size, 8);
AT(atom_plugin, flags, 12);
AT(atom_plugin, abi_major, 16);
AT(atom_plugin, abi_minor, 18);
AT(atom_plugin, needs_minor, 20);
AT(atom_plugin, component_stride, 22);
AT(atom_plugin, component_count, 24);
AT(atom_plugin, name, 32);
AT(atom_plugin, version, 40);
AT(atom_plugin, license, 48);
AT(atom_plugin, components, 56);
AT(atom_plugin, init, 64);
AT(atom_plugin, fini, 72);
SIZE(atom_plugin, 80);

AT(atom_component, struct_size, 0);
AT(atom_component, option_count, 4);
AT(atom_component, kind, 8);
AT(atom_component, name, 16);
AT(atom_component, summary, 24);
AT(atom_component, ops, 32);
AT(atom_component, options, 40);
AT(atom_component, options_size, 48);
SIZE(atom_component, 56);

AT(atom_option, struct_size, 0);
AT(atom_option, type, 4);
AT(atom_option, flags, 8);
AT(atom_option, offset, 12);
AT(atom_option, name, 16);
AT(atom_option, fallback, 24);
AT(atom_option, minimum, 32);
AT(atom_option, maximum, 40);
AT(atom_option, unit, 48);
AT(atom_option, help, 56);
AT(atom_option, choices, 64);
AT(atom_option, members, 72);
AT(atom_option, member_count, 80);
AT(atom_option, member_size, 84);
SIZE(atom_option, 88);

/* The head of every ops struct. */
AT(atom_ops, struct_size, 0);
AT(atom_ops, flags, 4);
AT(atom_ops, create, 8);
AT(atom_ops, destroy, 16);
AT(atom_ops, reconfigure, 24);
SIZE(atom_ops, 32);
AT(atom_backend_ops, operations, 32);
AT(atom_backend_ops, instance_start, 40);
AT(atom_backend_ops, instance_stop, 48);
AT(atom_backend_ops, invoke, 56);
AT(atom_backend_ops, cancel, 64);
AT(atom_backend_ops, resume, 72);
AT(atom_scaling_ops, evaluate, 32);
AT(atom_deployment_ops, advance, 32);
AT(atom_monitor_ops, event, 32);
AT(atom_monitor_ops, metrics, 40);
AT(atom_audit_ops, write, 32);
AT(atom_store_ops, commit, 32);

/* Filled by the one side, read by the other. */
AT(atom_error, struct_size, 0);
AT(atom_error, status, 4);
AT(atom_error, retry_after_ms, 8);
AT(atom_error, http_status, 12);
AT(atom_error, code, 16);
AT(atom_error, message, 48);
SIZE(atom_error, 528);

AT(atom_host, struct_size, 0);
AT(atom_host, abi_major, 4);
AT(atom_host, abi_minor, 6);
AT(atom_host, version, 8);
AT(atom_host, directory, 16);
AT(atom_host, service, 24);
AT(atom_host, host_private, 32);
SIZE(atom_host, 40);

/* Never grow: they cross without a size, or in arrays without a stride. */
SIZE(atom_span, 16);
SIZE(atom_log_field, 24);
SIZE(atom_strings, 16);
SIZE(atom_ints, 16);
SIZE(atom_floats, 16);
SIZE(atom_groups, 24);
SIZE(atom_map, 16);
SIZE(atom_map_entry, 16);
SIZE(atom_action, 16);

#endif

/* Words that travel as numbers. */
PROMISE(ATOM_ABI_MAJOR == 1);
PROMISE(ATOM_PLUGIN_MAGIC == 0x41544f4d504c4731ull);
PROMISE(sizeof(atom_status) == 4);
PROMISE(sizeof(atom_call) == 8);
PROMISE(sizeof(atom_unit) == 8);
PROMISE(ATOM_OK == 0 && ATOM_EINVAL == 1 && ATOM_EUNAVAILABLE == 18);
PROMISE(ATOM_OPT_BOOL == 1 && ATOM_OPT_MAP == 14);
PROMISE(ATOM_RELOADABLE == 1 && ATOM_REQUIRED == 2 && ATOM_HIDDEN == 4);
PROMISE(ATOM_BACKEND_SHARED == 1 && ATOM_BACKEND_BLOCKING == 2);
PROMISE(ATOM_EMIT_TEXT == 1 && ATOM_EMIT_EVENT == 5);
PROMISE(ATOM_LOG_ERROR == 0 && ATOM_LOG_DEBUG == 3);
