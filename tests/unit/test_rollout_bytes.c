/* SPDX-License-Identifier: Apache-2.0 */

/* A rollout's bytes: what is read is what was written, and neither damage nor
 * want of memory makes something else of it. */

#include <criterion/criterion.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "told_strategy.h"

Test(rollout_bytes, damaged_bytes_are_told_and_nothing_is_believed)
{
	static struct rollout read;
	struct buffer kept = BUFFER_INIT(1 << 20);
	char *copy;

	begin("threshold");
	host.calls = 20;
	host.new_rate = 0.1;
	says.state_bytes = 40;
	to_weight(500);
	host_wait(&host, 5);
	cr_assert_eq(rollout_encode(host.rollout, &kept), ATOM_OK);
	copy = mem_strndup(kept.bytes, kept.length);
	for (size_t i = 0; i < kept.length; i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		atom_status told = rollout_decode(&read, kept.bytes, i, &err);

		cr_assert_eq(told, ATOM_EDATALOSS, "cut at %zu: %d", i, told);
		cr_assert(strstr(err.message, "damaged"));
	}
	for (size_t i = 0; i < kept.length * 20; i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		size_t at = host_draw(&host) % kept.length;

		copy[at] = (char)host_draw(&host);
		if (rollout_decode(&read, copy, kept.length, &err) == ATOM_OK) {
			cr_assert(read.at.weight >= 0 &&
				  read.at.weight <= ATOM_WEIGHT_ALL);
			cr_assert_leq(read.counted.count, ROLLOUT_CELLS_MAX);
			cr_assert(read.at.stage >= 0 &&
				  read.at.stage <= ROLLOUT_OVER);
		}
		copy[at] = kept.bytes[at];
	}
	mem_free(copy);
	buffer_fini(&kept);
	host_end(&host);
}

Test(rollout_bytes, what_was_read_writes_the_same_bytes)
{
	static struct rollout read;
	struct buffer kept = BUFFER_INIT(1 << 20), again = BUFFER_INIT(1 << 20);
	struct atom_error err = ATOM_ERROR_INIT;

	begin("sequential");
	host.calls = 20;
	host.new_rate = 0.1;
	says.state_bytes = 300;
	to_weight(2500);
	host_wait(&host, 30);
	cr_assert_eq(rollout_encode(host.rollout, &kept), ATOM_OK);
	cr_assert_eq(rollout_decode(&read, kept.bytes, kept.length, &err),
		     ATOM_OK, "%s", err.message);
	cr_assert_eq(rollout_encode(&read, &again), ATOM_OK);
	cr_assert_str_eq(kept.bytes, again.bytes);
	buffer_fini(&kept);
	buffer_fini(&again);
	host_end(&host);
}

/* JSON's memory: the n-th block is not there, and the others are counted. */
static unsigned int left, in_use;

static void *take(size_t size)
{
	if (left > 0 && --left == 0)
		return NULL;
	in_use++;
	return malloc(size);
}

static void give_back(void *block)
{
	in_use -= block != NULL;
	free(block);
}

Test(rollout_bytes, without_memory_nothing_is_written_and_nothing_kept)
{
	struct buffer whole = BUFFER_INIT(1 << 20);
	unsigned int n;

	begin("sequential");
	host.calls = 20;
	to_weight(2500);
	host_wait(&host, 30);
	cr_assert_eq(rollout_encode(host.rollout, &whole), ATOM_OK);
	json_set_alloc_funcs(take, give_back);
	for (n = 1;; n++) {
		struct buffer kept = BUFFER_INIT(1 << 20);
		atom_status encoded;

		in_use = 0;
		left = n;
		encoded = rollout_encode(host.rollout, &kept);
		/* What jansson can do without is not in the text. */
		if (encoded == ATOM_OK)
			cr_assert_str_eq(kept.bytes, whole.bytes, "%u", n);
		else
			cr_assert_eq(encoded, ATOM_ENOMEM, "%u", n);
		buffer_fini(&kept);
		cr_assert_eq(in_use, 0, "%u: %u", n, in_use);
		if (left > 0)
			break;
	}
	buffer_fini(&whole);
	cr_assert_gt(n, 100);
	left = 0;
	host_end(&host);
}

static unsigned int growths; /* that many, and one fails */

static void *grow(void *old, size_t size)
{
	return growths > 0 && --growths == 0 ? NULL : realloc(old, size);
}

/* jansson goes on after the name of a member that had no room. */
Test(rollout_bytes, a_text_that_cannot_grow_is_not_one_that_lacks_some_of_it)
{
	static const char begun[64];

	begin("sequential");
	host.calls = 20;
	to_weight(2500);
	host_wait(&host, 30);
	os.realloc = grow;
	for (size_t length = 0; length < sizeof(begun); length++) {
		bool grew = true;

		for (unsigned int n = 2; grew; n++) {
			struct buffer kept = BUFFER_INIT(1 << 20);
			atom_status told;

			growths = n;
			cr_assert_eq(buffer_append(&kept, begun, length),
				     ATOM_OK);
			told = rollout_encode(host.rollout, &kept);
			grew = growths == 0;
			cr_assert_eq(told, grew ? ATOM_ENOMEM : ATOM_OK,
				     "%u after %zu", n, length);
			buffer_fini(&kept);
		}
	}
	os.realloc = realloc;
	host_end(&host);
}

Test(rollout_bytes, counts_go_on_after_a_restart)
{
	int64_t before;

	begin("sequential");
	host.calls = 20;
	to_weight(5000);
	host_wait(&host, 10);
	before = rollout_samples(host.rollout);
	cr_assert_gt(before, 50);
	host_kill(&host);
	host_look(&host);
	cr_assert_geq(rollout_samples(host.rollout), before);
	host_wait(&host, 10);
	cr_assert_gt(rollout_samples(host.rollout), before + 50);
	host_end(&host);
}
