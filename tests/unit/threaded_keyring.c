/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many threads seal and open by one keyring while it rotates, is wrapped
 * anew and lets go of old versions.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/os.h"
#include "keyring/keyring_priv.h"
#include "tap.h"

#define THREADS 4
#define TURNS	30

static struct keyring *keyring;
static atomic_bool enough;
static atomic_uint turns;

/* Seals, and opens what was sealed just now and a while ago. */
static void *work(void *argument)
{
	const char *purpose = argument;
	struct atom_error err = ATOM_ERROR_INIT;
	char kept[64][128], out[128];
	size_t kept_length[64] = { 0 };
	unsigned int n = 0;

	while (!atomic_load(&enough) || n < 1000) {
		unsigned int slot = n % 64;
		char text[64];
		struct atom_span plain = { text, 0 };
		struct atom_span identity = { (const char *)&slot,
					      sizeof(slot) };
		struct atom_span sealed = { kept[slot], kept_length[slot] };
		size_t length = 0;

		if (kept_length[slot] > 0) {
			CHECK(keyring_unseal(keyring, purpose, &identity,
					     &sealed, out, &length,
					     &err) == ATOM_OK);
			CHECK(length == strlen(purpose) &&
			      memcmp(out, purpose, length) == 0);
		}
		plain.length =
			(size_t)snprintf(text, sizeof(text), "%s", purpose);
		CHECK(keyring_note_component(keyring, &err) == ATOM_OK);
		CHECK(keyring_seal(keyring, purpose, &identity, &plain,
				   kept[slot], &kept_length[slot],
				   &err) == ATOM_OK);
		n++;
	}
	return NULL;
}

/* Changes of all kinds. */
static void *turn(void *argument)
{
	struct atom_error err = ATOM_ERROR_INIT;
	static struct keyring_status status;
	uint8_t kek[KEYRING_KEY_BYTES];
	uint32_t number;
	bool rotated;

	(void)argument;
	for (int i = 0; i < TURNS; i++) {
		CHECK(keyring_rotate(keyring, &number, &err) == ATOM_OK);
		if (keyring_needs_care(keyring))
			CHECK(keyring_care(keyring, &rotated, &err) == ATOM_OK);
		CHECK(os.random(kek, sizeof(kek)) == 0);
		CHECK(keyring_set_kek(keyring, kek, &err) == ATOM_OK);
		CHECK(keyring_begin_rewrap(keyring, &number, &err) == ATOM_OK);
		CHECK(keyring_end_rewrap(keyring, number, NULL, 0, true,
					 &err) == ATOM_OK);
		keyring_status(keyring, &status);
		CHECK(status.current == number);
		atomic_fetch_add(&turns, 1);
	}
	return NULL;
}

int main(void)
{
	static const char *const purposes[THREADS] = { "state", "a", "b",
						       "component:x/y:z" };
	char folder[] = "/tmp/atomd-keyring-XXXXXX", path[64];
	struct atom_error err = ATOM_ERROR_INIT;
	uint8_t kek[KEYRING_KEY_BYTES];
	pthread_t threads[THREADS], turner;

	printf("1..1\n");
	CHECK(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/keyring", folder);
	CHECK(os.random(kek, sizeof(kek)) == 0);
	/* Small blocks: reservations run into each other as well. */
	keyring_messages_block = 64;
	CHECK(keyring_create(path, kek, true, &keyring, &err) == ATOM_OK);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work,
				     (void *)(uintptr_t)purposes[i]) == 0);
	CHECK(pthread_create(&turner, NULL, turn, NULL) == 0);
	(void)pthread_join(turner, NULL);
	atomic_store(&enough, true);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	CHECK(atomic_load(&turns) == TURNS);
	keyring_free(&keyring);
	(void)unlink(path);
	(void)rmdir(folder);
	printf("ok 1 - threads seal and open while the keyring turns\n");
	return 0;
}
