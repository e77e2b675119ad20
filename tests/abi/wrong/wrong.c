/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Plugins that are wrong on purpose, one for each -DWRONG_x.  All the rest of
 * each is right: what is refused is refused for that one reason.
 */

#ifdef WRONG_NEEDS
#define ATOM_NEEDS_MINOR 99
#endif

#include <atomd/backend.h>
#include <atomd/scaling.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef NAME
#define NAME "wrong"
#endif
#ifndef COMPONENT
#define COMPONENT NAME
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif

struct options {
	int64_t count;
	const char *word;
};

#if defined(WRONG_DEFAULT)
#define COUNT_DEFAULT "many"
#elif defined(WRONG_DEFAULT_RANGE)
#define COUNT_DEFAULT "17"
#else
#define COUNT_DEFAULT "1"
#endif

static const struct atom_option table[] = {
	ATOM_OPTION_INT(struct options, count, COUNT_DEFAULT, 1, 16,
#ifdef WRONG_RELOADABLE
			ATOM_RELOADABLE,
#else
			0,
#endif
			"how many"),
	ATOM_OPTION_STRING(struct options, word, "", 0, "a word"),
#ifdef WRONG_OFFSET
	{ sizeof(struct atom_option), ATOM_OPT_INT, 0, 4096, "far", "1", 1, 0,
	  "", "outside of the struct", NULL, NULL, 0, 0 },
#endif
#ifdef WRONG_OVERLAP
	{ sizeof(struct atom_option), ATOM_OPT_INT, 0, 0, "twin", "1", 1, 0, "",
	  "on another's place", NULL, NULL, 0, 0 },
#endif
#ifdef WRONG_TYPE
	{ sizeof(struct atom_option), 99, 0, 8, "odd", "1", 1, 0, "",
	  "of no known type", NULL, NULL, 0, 0 },
#endif
};

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	(void)host;
	(void)options;
	(void)err;
	*self_r = (void *)table;
	return ATOM_OK;
}

static void destroy(void *self)
{
	(void)self;
}

static atom_status evaluate(void *self, const struct atom_load *load,
			    void *state, size_t *state_size,
			    struct atom_scaling_advice *advice,
			    struct atom_error *err)
{
	(void)self;
	(void)load;
	(void)state;
	(void)err;
	*state_size = 0;
	advice->wanted = 1;
	return ATOM_OK;
}

static const struct atom_scaling_ops ops = {
#ifdef WRONG_OPS_SIZE
	.struct_size = 8,
#else
	.struct_size = sizeof(ops),
#endif
	.create = create,
#ifndef WRONG_NULL_DESTROY
	.destroy = destroy,
#endif
#ifndef WRONG_NULL_OP
	.evaluate = evaluate,
#endif
};

static const struct atom_scaling_ops good_ops = {
	.struct_size = sizeof(good_ops),
	.create = create,
	.destroy = destroy,
	.evaluate = evaluate,
};

#ifdef WRONG_CONSTRUCTOR
__attribute__((constructor)) static void crash(void)
{
	(void)fprintf(stderr, "about to fail\n");
	abort();
}
#endif

#ifdef WRONG_CONSTRUCTOR_EXIT
__attribute__((constructor)) static void leave(void)
{
	_exit(7);
}
#endif

#ifdef WRONG_FLOOD
/* Writes without end, to where the answer goes and to where words go. */
__attribute__((constructor)) static void flood(void)
{
	for (;;) {
		(void)!write(1, "{\"name\":\"flood\"}\n", 17);
		(void)!write(2, "la la la la la la\n", 18);
	}
}
#endif

#if defined(WRONG_INIT_HANGS)
static atom_status init(const struct atom_host *host, struct atom_error *err)
{
	(void)host;
	(void)err;
	while (1 + 1 == 2)
		(void)pause();
	return ATOM_OK;
}
#define INIT init
#elif defined(WRONG_INIT_CRASHES)
static atom_status init(const struct atom_host *host, struct atom_error *err)
{
	(void)err;
	/* A host is const; its page of ours is not, so a plain NULL. */
	*(volatile int *)(uintptr_t)(host == NULL) = 1;
	return ATOM_OK;
}
#define INIT init
#elif defined(WRONG_INIT_KILLS)
static atom_status init(const struct atom_host *host, struct atom_error *err)
{
	(void)host;
	(void)err;
	(void)kill(getppid(), SIGKILL);
	(void)pause();
	return ATOM_OK;
}
#define INIT init
#elif defined(WRONG_INIT_CLOSES)
static atom_status init(const struct atom_host *host, struct atom_error *err)
{
	(void)host;
	(void)err;
	closefrom(0);
	return ATOM_OK;
}
#define INIT init
#elif defined(WRONG_INIT_FAILS)
static atom_status init(const struct atom_host *host, struct atom_error *err)
{
	(void)host;
	return atom_fail(err, ATOM_EIO, "the moon is not in place");
}
#define INIT init
#else
#define INIT NULL
#endif

static const struct atom_component components[] = {
#ifdef WRONG_KIND
	ATOM_COMPONENT_PLAIN("atom.telepathy/1", "mind", "of no known kind",
			     &good_ops),
#endif
#ifdef WRONG_NAME
	ATOM_COMPONENT_PLAIN(ATOM_KIND_SCALING, "No Such/Name", "a bad name",
			     &good_ops),
#endif
#if defined(WRONG_TWICE) || defined(WRONG_BESIDE_GOOD)
	ATOM_COMPONENT_PLAIN(ATOM_KIND_SCALING, "good", "a good one",
			     &good_ops),
#endif
#ifdef WRONG_TWICE
	ATOM_COMPONENT_PLAIN(ATOM_KIND_SCALING, "good", "once more", &good_ops),
#endif
#ifdef WRONG_HELP
	ATOM_COMPONENT(ATOM_KIND_SCALING, COMPONENT, "not \xff UTF-8", &ops,
		       table, struct options),
#else
	ATOM_COMPONENT(ATOM_KIND_SCALING, COMPONENT, "wrong on purpose", &ops,
		       table, struct options),
#endif
};

#ifdef WRONG_MAJOR
__attribute__((used, section(".atom_plugin"),
	       aligned(1))) static const char note[] =
	"ATOM-PLUGIN\002abi=99.0 needs=0 name=" NAME " version=" VERSION "\003";
#elif !defined(WRONG_NO_NOTE)
ATOM_PLUGIN_NOTE_(NAME, VERSION);
#endif

#ifdef WRONG_NO_SYMBOL
const struct atom_component *another_symbol = components;
#else
extern const struct atom_plugin atom_plugin_entry ATOM_PLUGIN_EXPORT;
const struct atom_plugin atom_plugin_entry = {
#ifdef WRONG_MAGIC
	.magic = 0x1234,
#else
	.magic = ATOM_PLUGIN_MAGIC,
#endif
#ifdef WRONG_STRUCT_SIZE
	.struct_size = 16,
#else
	.struct_size = sizeof(struct atom_plugin),
#endif
	.abi_major = ATOM_ABI_MAJOR,
	.abi_minor = ATOM_ABI_MINOR,
	.needs_minor = ATOM_NEEDS_MINOR,
#ifdef WRONG_STRIDE
	.component_stride = 8,
#else
	.component_stride = sizeof(struct atom_component),
#endif
#ifdef WRONG_NO_COMPONENT
	.component_count = 0,
#else
	.component_count = sizeof(components) / sizeof(components[0]),
#endif
#ifdef WRONG_ENTRY_NAME
	.name = "another",
#else
	.name = NAME,
#endif
	.version = VERSION,
	.license = "Apache-2.0",
	.components = components,
	.init = INIT,
};
#endif
