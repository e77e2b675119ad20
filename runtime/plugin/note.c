/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin/note.h"

#include <ctype.h>
#include <elf.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NOTE_BEGIN   "ATOM-PLUGIN\002"
#define NOTE_END     '\003'
#define NOTE_MAX     512 /* bytes from begin to end */
#define NOTE_SECTION ".atom_plugin"

#if defined(__x86_64__)
#define MACHINE	     EM_X86_64
#define MACHINE_NAME "x86-64"
#elif defined(__aarch64__)
#define MACHINE	     EM_AARCH64
#define MACHINE_NAME "aarch64"
#elif defined(__riscv)
#define MACHINE	     EM_RISCV
#define MACHINE_NAME "riscv64"
#elif defined(__powerpc64__)
#define MACHINE	     EM_PPC64
#define MACHINE_NAME "ppc64"
#elif defined(__s390x__)
#define MACHINE	     EM_S390
#define MACHINE_NAME "s390x"
#else
#error "plugins: which ELF machine is this?"
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTE_ORDER_HERE ELFDATA2LSB
#else
#define BYTE_ORDER_HERE ELFDATA2MSB
#endif

int plugin_name_legal(const char *name)
{
	size_t length = strnlen(name, NOTE_NAME_MAX + 1);

	if (length == 0 || length > NOTE_NAME_MAX)
		return 0;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

/* --- ELF ----------------------------------------------------------------- */

static atom_status elf_check(const unsigned char *bytes, size_t length,
			     struct atom_error *err)
{
	Elf64_Ehdr head;

	if (length < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "is no shared object (ELF), so no plugin");
	if (length < sizeof(head))
		return atom_fail(err, ATOM_EINVAL,
				 "is cut off: %zu bytes are no whole ELF file",
				 length);
	memcpy(&head, bytes, sizeof(head));
	if (head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_ident[EI_DATA] != BYTE_ORDER_HERE ||
	    head.e_machine != MACHINE)
		return atom_fail(err, ATOM_EINVAL,
				 "is built for another machine (ELF machine "
				 "%u); this atomd needs " MACHINE_NAME,
				 (unsigned int)head.e_machine);
	if (head.e_type != ET_DYN)
		return atom_fail(err, ATOM_EINVAL,
				 "is no shared object; link it with -shared");
	return ATOM_OK;
}

/* Copies section header `index`; false when it is not wholly in the file. */
static bool section_at(const unsigned char *bytes, size_t length,
		       const Elf64_Ehdr *head, uint64_t index,
		       Elf64_Shdr *section_r)
{
	uint64_t at;

	if (head->e_shentsize != sizeof(*section_r) || head->e_shoff > length ||
	    index >= head->e_shnum)
		return false;
	at = head->e_shoff + index * sizeof(*section_r);
	if (at > length || length - at < sizeof(*section_r))
		return false;
	memcpy(section_r, bytes + at, sizeof(*section_r));
	return true;
}

/* The bytes of the section named NOTE_SECTION, or NULL. */
static const unsigned char *section_find(const unsigned char *bytes,
					 size_t length, size_t *size_r)
{
	static const char wanted[] = NOTE_SECTION;
	Elf64_Ehdr head;
	Elf64_Shdr names, section;

	memcpy(&head, bytes, sizeof(head));
	if (!section_at(bytes, length, &head, head.e_shstrndx, &names) ||
	    names.sh_offset > length ||
	    names.sh_size > length - names.sh_offset)
		return NULL;
	for (uint64_t i = 0; i < head.e_shnum; i++) {
		if (!section_at(bytes, length, &head, i, &section))
			return NULL;
		if (section.sh_type == SHT_NOBITS ||
		    section.sh_name > names.sh_size ||
		    names.sh_size - section.sh_name < sizeof(wanted) ||
		    memcmp(bytes + names.sh_offset + section.sh_name, wanted,
			   sizeof(wanted)) != 0)
			continue;
		if (section.sh_offset > length ||
		    section.sh_size > length - section.sh_offset)
			return NULL;
		*size_r = section.sh_size;
		return bytes + section.sh_offset;
	}
	return NULL;
}

/* --- the note's text ----------------------------------------------------- */

/* "16 bits of decimal" up to `end`; NULL when it is none. */
static const char *read_number(const char *at, uint16_t *value_r)
{
	unsigned int value = 0;
	const char *first = at;

	while (isdigit((unsigned char)*at)) {
		value = value * 10 + (unsigned int)(*at - '0');
		if (value > UINT16_MAX)
			return NULL;
		at++;
	}
	*value_r = (uint16_t)value;
	return at > first ? at : NULL;
}

static const char *read_word(const char *at, const char *prefix, char *out,
			     size_t out_size)
{
	size_t length = strlen(prefix);

	if (strncmp(at, prefix, length) != 0)
		return NULL;
	at += length;
	length = strcspn(at, " ");
	if (length == 0 || length >= out_size)
		return NULL;
	memcpy(out, at, length);
	out[length] = '\0';
	return at + length;
}

static bool printable(const char *text)
{
	for (; *text != '\0'; text++)
		if (!isgraph((unsigned char)*text))
			return false;
	return true;
}

/* `text` lies between begin and end, NUL-ended here. */
static bool note_parse(const char *text, struct note *note)
{
	const char *at = text;

	if (strncmp(at, "abi=", 4) != 0)
		return false;
	at = read_number(at + 4, &note->abi_major);
	if (at == NULL || *at != '.')
		return false;
	at = read_number(at + 1, &note->abi_minor);
	if (at == NULL || strncmp(at, " needs=", 7) != 0)
		return false;
	at = read_number(at + 7, &note->needs_minor);
	if (at == NULL)
		return false;
	at = read_word(at, " name=", note->name, sizeof(note->name));
	if (at == NULL || !plugin_name_legal(note->name))
		return false;
	at = read_word(at, " version=", note->version, sizeof(note->version));
	/* A later minor may say more behind it. */
	return at != NULL && (*at == '\0' || *at == ' ') &&
	       printable(note->version);
}

static bool note_search(const unsigned char *bytes, size_t length,
			struct note *note_r)
{
	static const char begin[] = NOTE_BEGIN;
	const size_t begin_length = sizeof(begin) - 1;
	const unsigned char *end = bytes + length;
	const unsigned char *at = bytes;

	while ((at = memmem(at, (size_t)(end - at), begin, begin_length)) !=
	       NULL) {
		char text[NOTE_MAX + 1];
		struct note note = { 0 };
		const unsigned char *stop;
		size_t room;

		at += begin_length;
		room = (size_t)(end - at);
		if (room > NOTE_MAX)
			room = NOTE_MAX;
		stop = memchr(at, NOTE_END, room);
		if (stop == NULL)
			continue;
		memcpy(text, at, (size_t)(stop - at));
		text[stop - at] = '\0';
		if (strlen(text) == (size_t)(stop - at) &&
		    note_parse(text, &note)) {
			*note_r = note;
			return true;
		}
	}
	return false;
}

atom_status note_read(const void *bytes, size_t length, struct note *note_r,
		      struct atom_error *err)
{
	const unsigned char *section;
	size_t section_size = 0;
	atom_status status = elf_check(bytes, length, err);

	if (status != ATOM_OK)
		return status;
	section = section_find(bytes, length, &section_size);
	if (section != NULL && note_search(section, section_size, note_r))
		return ATOM_OK;
	if (section == NULL && note_search(bytes, length, note_r))
		return ATOM_OK;
	return atom_fail(err, ATOM_EINVAL,
			 "holds no readable plugin note; declare the plugin "
			 "with ATOM_PLUGIN() of atomd/plugin.h");
}

atom_status note_check(const struct note *note, struct atom_error *err)
{
	if (note->abi_major != ATOM_ABI_MAJOR)
		return atom_fail(err, ATOM_ENOTSUP,
				 "built for plugin ABI %u.%u, this atomd "
				 "speaks %d.%d; install %s for atomd %d.x",
				 note->abi_major, note->abi_minor,
				 ATOM_ABI_MAJOR, ATOM_ABI_MINOR, note->name,
				 ATOM_ABI_MAJOR);
	if (note->needs_minor > ATOM_ABI_MINOR)
		return atom_fail(err, ATOM_ENOTSUP,
				 "needs plugin ABI %u.%u or newer, this atomd "
				 "speaks %d.%d; update atomd or install an "
				 "older %s",
				 note->abi_major, note->needs_minor,
				 ATOM_ABI_MAJOR, ATOM_ABI_MINOR, note->name);
	return ATOM_OK;
}

/* --- versions ------------------------------------------------------------ */

static size_t digits(const char *text)
{
	return strspn(text, "0123456789");
}

/* Two runs of digits of any length, leading zeros without weight. */
static int digits_compare(const char *a, size_t a_length, const char *b,
			  size_t b_length)
{
	while (a_length > 0 && *a == '0') {
		a++;
		a_length--;
	}
	while (b_length > 0 && *b == '0') {
		b++;
		b_length--;
	}
	if (a_length != b_length)
		return a_length < b_length ? -1 : 1;
	return memcmp(a, b, a_length);
}

/* Rank of what ends a common run: a pre-release is older than the end. */
static int tail_rank(char c)
{
	if (c == '-' || c == '~')
		return 0;
	return c == '\0' || c == '+' ? 1 : 2;
}

int version_compare(const char *a, const char *b)
{
	for (;;) {
		size_t a_digits = digits(a), b_digits = digits(b);

		if (a_digits > 0 && b_digits > 0) {
			int order = digits_compare(a, a_digits, b, b_digits);

			if (order != 0)
				return order;
			a += a_digits;
			b += b_digits;
			continue;
		}
		if (tail_rank(*a) != tail_rank(*b))
			return tail_rank(*a) - tail_rank(*b);
		if (tail_rank(*a) == 1)
			return 0;
		if (*a != *b)
			return (unsigned char)*a - (unsigned char)*b;
		a++;
		b++;
	}
}
