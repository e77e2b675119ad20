/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stands in for libFuzzer: feeds every file of the target's corpus to it
 * once and prints TAP.  fuzz_NOUN reads $TOP_SRCDIR/tests/fuzz/corpus/NOUN,
 * or the files named on the command line.  An input that breaks the target
 * ends the program, and so the test.
 */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (16u * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static int tests;
static int failures;

static void replay(const char *path)
{
	uint8_t *bytes = NULL;
	size_t length = 0;
	long size;
	FILE *file = fopen(path, "rb");

	tests++;
	if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0 ||
	    (unsigned long)size > INPUT_MAX || fseek(file, 0, SEEK_SET)) {
		failures++;
		printf("not ok %d - %s: %s\n", tests, path, strerror(errno));
		goto out;
	}
	/* No byte beyond the input, so that a sanitizer sees one read. */
	bytes = malloc((size_t)size + (size == 0));
	if (!bytes) {
		failures++;
		printf("not ok %d - %s: out of memory\n", tests, path);
		goto out;
	}
	length = fread(bytes, 1, (size_t)size, file);
	printf("# %s\n", path);
	(void)LLVMFuzzerTestOneInput(bytes, length);
	printf("ok %d - %s\n", tests, path);
out:
	free(bytes);
	if (file)
		(void)fclose(file);
}

static void replay_folder(const char *folder)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		char path[4400];

		if (entries[i]->d_name[0] != '.') {
			(void)snprintf(path, sizeof(path), "%s/%s", folder,
				       entries[i]->d_name);
			replay(path);
		}
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	const char *top = getenv("TOP_SRCDIR");
	const char *name = strrchr(argv[0], '/');
	char folder[4096];

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	name = name ? name + 1 : argv[0];
	if (strncmp(name, "fuzz_", 5) == 0)
		name += 5;
	(void)snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s",
		       top ? top : ".", name);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc == 1)
		replay_folder(folder);
	/* An empty input is always worth one call. */
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	printf("ok %d - no input at all\n1..%d\n", tests + 1, tests + 1);
	return failures ? 1 : 0;
}
