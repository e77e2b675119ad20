/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sealing and opening cost: nanoseconds of this thread's CPU a text, the
 * best of several rounds, each long enough to be measured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/os.h"
#include "keyring/keyring.h"

#define ROUNDS	    7
#define ROUND_BYTES ((size_t)64 * 1024 * 1024)
#define LONGEST	    ((size_t)1024 * 1024)

static struct keyring *keyring;
static char *plain, *sealed, *opened;
static const struct atom_span identity = { "sessions\0agent\x1fme\x1fs", 20 };

static void stop(const char *what, const struct atom_error *err)
{
	(void)fprintf(stderr, "bench-keyring: %s: %s\n", what, err->message);
	exit(EXIT_FAILURE);
}

static double cpu_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static size_t seal(size_t length)
{
	const struct atom_span text = { plain, length };
	struct atom_error err = ATOM_ERROR_INIT;
	size_t sealed_length = 0;

	if (keyring_seal(keyring, "state", &identity, &text, sealed,
			 &sealed_length, &err) != ATOM_OK)
		stop("seal", &err);
	return sealed_length;
}

static void unseal(size_t length, size_t sealed_length)
{
	const struct atom_span text = { sealed, sealed_length };
	struct atom_error err = ATOM_ERROR_INIT;
	size_t got = 0;

	if (keyring_unseal(keyring, "state", &identity, &text, opened, &got,
			   &err) != ATOM_OK ||
	    got != length || memcmp(opened, plain, length) != 0)
		stop("open", &err);
}

static void measure(size_t length)
{
	size_t count = ROUND_BYTES / (length + 1024);
	double best_seal = 1e18, best_open = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		double began = cpu_ns(), between, ended;
		size_t sealed_length = 0;

		for (size_t i = 0; i < count; i++)
			sealed_length = seal(length);
		between = cpu_ns();
		for (size_t i = 0; i < count; i++)
			unseal(length, sealed_length);
		ended = cpu_ns();
		if (between - began < best_seal)
			best_seal = between - began;
		if (ended - between < best_open)
			best_open = ended - between;
	}
	printf("%8zu bytes: seal %7.0f ns, open %7.0f ns\n", length,
	       best_seal / (double)count, best_open / (double)count);
}

int main(void)
{
	char folder[] = "/tmp/atomd-bench-XXXXXX", path[64];
	struct atom_error err = ATOM_ERROR_INIT;
	uint8_t kek[KEYRING_KEY_BYTES];

	plain = calloc(1, LONGEST);
	sealed = malloc(LONGEST + KEYRING_OVERHEAD);
	opened = malloc(LONGEST);
	if (!plain || !sealed || !opened || !mkdtemp(folder) ||
	    os.random(kek, sizeof(kek)) != 0)
		return EXIT_FAILURE;
	(void)snprintf(path, sizeof(path), "%s/keyring", folder);
	if (keyring_create(path, kek, true, &keyring, &err) != ATOM_OK)
		stop(path, &err);
	measure(0);
	measure(1024);
	measure((size_t)16 * 1024);
	measure(LONGEST);
	keyring_free(&keyring);
	(void)unlink(path);
	(void)rmdir(folder);
	free(plain);
	free(sealed);
	free(opened);
	return EXIT_SUCCESS;
}
