/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The note of a plugin's file, and how versions are ordered.
 */
#include <criterion/criterion.h>

#include <elf.h>
#include <string.h>

#include "plugin/note.h"

#define NOTE(text) "ATOM-PLUGIN\002" text "\003"

static struct atom_error err;
static struct note note;

struct image {
	Elf64_Ehdr head;
	char text[600];
};

/* A shared object of this machine that has no sections but these bytes. */
static struct image image_of(const char *text, size_t length)
{
	struct image image = { 0 };
	Elf64_Ehdr own;
	FILE *self = fopen("/proc/self/exe", "rb");

	cr_assert(self != NULL);
	cr_assert_eq(fread(&own, sizeof(own), 1, self), 1);
	(void)fclose(self);
	memcpy(image.head.e_ident, own.e_ident, EI_NIDENT);
	image.head.e_machine = own.e_machine;
	image.head.e_type = ET_DYN;
	cr_assert(length <= sizeof(image.text));
	memcpy(image.text, text, length);
	return image;
}

static atom_status read_text(const char *text, size_t length)
{
	struct image image = image_of(text, length);

	err = (struct atom_error)ATOM_ERROR_INIT;
	note = (struct note){ 0 };
	return note_read(&image, sizeof(image), &note, &err);
}

#define READ(text) read_text(text, sizeof(text) - 1)

Test(plugin_note, says_what_the_plugin_is)
{
	cr_assert_eq(READ(NOTE("abi=1.2 needs=1 name=shout version=1.0.3")),
		     ATOM_OK, "%s", err.message);
	cr_assert_eq(note.abi_major, 1);
	cr_assert_eq(note.abi_minor, 2);
	cr_assert_eq(note.needs_minor, 1);
	cr_assert_str_eq(note.name, "shout");
	cr_assert_str_eq(note.version, "1.0.3");
}

Test(plugin_note, may_say_more_one_day)
{
	cr_assert_eq(READ(NOTE("abi=1.2 needs=0 name=a version=2 new=thing")),
		     ATOM_OK);
	cr_assert_str_eq(note.version, "2");
}

Test(plugin_note, is_found_behind_a_broken_one)
{
	cr_assert_eq(READ(NOTE("abi=x") "junk" NOTE(
			     "abi=1.0 needs=0 name=a version=2")),
		     ATOM_OK);
	cr_assert_str_eq(note.name, "a");
}

Test(plugin_note, that_cannot_be_read_is_none)
{
	static const char *const texts[] = {
		"abi=1 needs=0 name=a version=1",
		"abi=1.0 needs=0 name= version=1",
		"abi=1.0 needs=0 name=a version=",
		"abi=1.0 needs=0 name=A version=1",
		"abi=1.0 needs=0 name=a/b version=1",
		"abi=1.0 needs=0 name=a",
		"abi=1.0 needs= name=a version=1",
		"abi=99999.0 needs=0 name=a version=1",
		"abi=-1.0 needs=0 name=a version=1",
		"needs=0 abi=1.0 name=a version=1",
		"",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[200];
		int length = snprintf(text, sizeof(text),
				      "ATOM-PLUGIN\002%s\003", texts[i]);

		cr_assert_eq(read_text(text, (size_t)length), ATOM_EINVAL, "%s",
			     texts[i]);
		cr_assert(strstr(err.message, "no readable plugin note"));
	}
}

Test(plugin_note, without_an_end_is_none)
{
	cr_assert_eq(READ("ATOM-PLUGIN\002abi=1.0 needs=0 name=a version=1"),
		     ATOM_EINVAL);
}

Test(plugin_note, of_another_major_or_a_younger_minor_is_refused)
{
	struct note strange = { 2, 0, 0, "shout", "1" };

	cr_assert_eq(note_check(&strange, &err), ATOM_ENOTSUP);
	cr_assert(strstr(err.message,
			 "built for plugin ABI 2.0, this atomd speaks 1."));
	cr_assert(strstr(err.message, "; install shout for atomd 1.x"));
	strange = (struct note){ 1, 65000, 65000, "shout", "1" };
	cr_assert_eq(note_check(&strange, &err), ATOM_ENOTSUP);
	cr_assert(strstr(err.message, "needs plugin ABI 1.65000 or newer"));
	/* Built with a younger one, content with this one. */
	strange = (struct note){ 1, 65000, 0, "shout", "1" };
	cr_assert_eq(note_check(&strange, &err), ATOM_OK);
}

Test(plugin_note, asks_for_a_shared_object_of_this_machine)
{
	struct image image = image_of("", 0);

	image.head.e_machine = EM_68K;
	cr_assert_eq(note_read(&image, sizeof(image), &note, &err),
		     ATOM_EINVAL);
	cr_assert(strstr(err.message, "another machine"));
	image = image_of("", 0);
	image.head.e_ident[EI_CLASS] = ELFCLASS32;
	cr_assert_eq(note_read(&image, sizeof(image), &note, &err),
		     ATOM_EINVAL);
	image = image_of("", 0);
	image.head.e_type = ET_EXEC;
	cr_assert_eq(note_read(&image, sizeof(image), &note, &err),
		     ATOM_EINVAL);
	cr_assert(strstr(err.message, "-shared"));
	cr_assert_eq(note_read("#!/bin/sh\n", 10, &note, &err), ATOM_EINVAL);
	cr_assert(strstr(err.message, "no shared object"));
	cr_assert_eq(note_read(&image, 20, &note, &err), ATOM_EINVAL);
	cr_assert(strstr(err.message, "cut off"));
	cr_assert_eq(note_read("", 0, &note, &err), ATOM_EINVAL);
}

Test(plugin_note, section_headers_that_lie_are_not_followed)
{
	struct image image = image_of("", 0);

	image.head.e_shoff = UINT64_MAX - 8;
	image.head.e_shnum = 65535;
	image.head.e_shstrndx = 65534;
	image.head.e_shentsize = sizeof(Elf64_Shdr);
	cr_assert_eq(note_read(&image, sizeof(image), &note, &err),
		     ATOM_EINVAL);
	image.head.e_shoff = sizeof(image) - 10;
	image.head.e_shstrndx = 0;
	cr_assert_eq(note_read(&image, sizeof(image), &note, &err),
		     ATOM_EINVAL);
}

static void rises(const char *older, const char *newer)
{
	cr_assert_lt(version_compare(older, newer), 0, "%s < %s", older, newer);
	cr_assert_gt(version_compare(newer, older), 0, "%s > %s", newer, older);
}

Test(plugin_version, rises_as_people_count)
{
	rises("1.9", "1.10");
	rises("1.0.0", "2.0.0");
	rises("1", "1.1");
	rises("0.9.9", "1");
	rises("1.0.0-rc1", "1.0.0");
	rises("1.0.0-rc9", "1.0.0-rc10");
	rises("1.0.0-alpha", "1.0.0-beta");
	rises("1.0~dev", "1.0");
	rises("99999999999999999998", "99999999999999999999");
	rises("1.0.0", "1.0.0.1");
	rises("1.0-rc1", "1.0.1");
}

Test(plugin_version, is_the_same_whatever_it_was_built_as)
{
	cr_assert_eq(version_compare("1.0", "1.0"), 0);
	cr_assert_eq(version_compare("1.0", "1.0+deb12u1"), 0);
	cr_assert_eq(version_compare("1.01", "1.1"), 0);
	cr_assert_eq(version_compare("", ""), 0);
}

Test(plugin_name, is_short_and_plain)
{
	char longest[66];

	memset(longest, 'a', sizeof(longest));
	longest[63] = '\0';
	cr_assert(plugin_name_legal(longest));
	longest[63] = 'a';
	longest[64] = '\0';
	cr_assert_not(plugin_name_legal(longest));
	cr_assert(plugin_name_legal("a-b_9"));
	cr_assert_not(plugin_name_legal(""));
	cr_assert_not(plugin_name_legal("A"));
	cr_assert_not(plugin_name_legal("a.b"));
	cr_assert_not(plugin_name_legal("../a"));
}
