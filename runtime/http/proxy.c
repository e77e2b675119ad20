/* SPDX-License-Identifier: Apache-2.0 */
#include "http/proxy.h"

#include <string.h>
#include <sys/socket.h>

#include "core/memory.h"

static const uint8_t signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
				       0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

enum {
	COMMAND_LOCAL = 0x20,
	COMMAND_PROXY = 0x21
};
enum {
	TLV_CRC32C = 0x03
};

/* By the 14th byte: what the addresses are and how long. */
static const struct family {
	uint8_t byte;
	int family;
	size_t client_bytes;
	size_t addresses_bytes; /* both, with their ports */
} families[] = {
	{ 0x00, AF_UNSPEC, 0, 0 },
	{ 0x11, AF_INET, 4, 12 },
	{ 0x21, AF_INET6, 16, 36 },
	/* A client of the proxy's own machine: it has no address. */
	{ 0x31, AF_UNSPEC, 0, 216 },
};

static enum http_parse refuse(struct http_proxy *out, const char *why)
{
	out->why = why;
	return HTTP_PARSE_REFUSED;
}

static size_t number(const uint8_t *at)
{
	return (size_t)at[0] << 8 | at[1];
}

/* RFC 3720, appendix B.4: polynomial 0x1edc6f41, reflected. */
static uint32_t crc32c(uint32_t crc, uint8_t byte)
{
	crc ^= byte;
	for (int bit = 0; bit < 8; bit++)
		crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	return crc;
}

/* Of the whole header, the checksum's own four bytes taken as zero. */
static bool is_sound(const uint8_t *bytes, size_t size, size_t checksum_at)
{
	const uint8_t *told = bytes + checksum_at;
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < size; i++) {
		bool own = i >= checksum_at && i < checksum_at + 4;

		crc = crc32c(crc, own ? 0 : bytes[i]);
	}
	return ~crc == ((uint32_t)told[0] << 24 | (uint32_t)told[1] << 16 |
			(uint32_t)told[2] << 8 | told[3]);
}

static enum http_parse check_tlvs(const uint8_t *bytes, size_t at,
				  struct http_proxy *out)
{
	while (at < out->size) {
		size_t length;

		if (out->size - at < 3)
			return refuse(out, "a TLV of the PROXY header is cut");
		length = number(bytes + at + 1);
		if (length > out->size - at - 3)
			return refuse(out, "a TLV of the PROXY header is "
					   "longer than the header");
		if (bytes[at] == TLV_CRC32C &&
		    (length != 4 || !is_sound(bytes, out->size, at + 3)))
			return refuse(out, "the PROXY header's checksum is "
					   "wrong");
		at += 3 + length;
	}
	return HTTP_PARSE_DONE;
}

static enum http_parse whole(const uint8_t *bytes, struct http_proxy *out)
{
	const struct family *family = NULL;

	/* A health check: whatever it says of addresses is to be ignored. */
	if (bytes[12] == COMMAND_LOCAL)
		return HTTP_PARSE_DONE;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (families[i].byte == bytes[13])
			family = &families[i];
	if (family == NULL)
		return refuse(out, "the PROXY header names no kind of stream");
	if (out->size - HTTP_PROXY_FIXED < family->addresses_bytes)
		return refuse(out, "the PROXY header's addresses are cut");
	out->family = family->family;
	if (family->client_bytes > 0)
		memcpy(out->address, bytes + HTTP_PROXY_FIXED,
		       family->client_bytes);
	return check_tlvs(bytes, HTTP_PROXY_FIXED + family->addresses_bytes,
			  out);
}

enum http_parse http_proxy_parse(const uint8_t *bytes, size_t length,
				 struct http_proxy *out)
{
	size_t begun = length < sizeof(signature) ? length : sizeof(signature);

	*out = (struct http_proxy){ .size = HTTP_PROXY_FIXED,
				    .family = AF_UNSPEC };
	if (memcmp(bytes, signature, begun) != 0)
		return refuse(out, "it does not begin with a PROXY v2 header");
	if (length > 12 && bytes[12] != COMMAND_LOCAL &&
	    bytes[12] != COMMAND_PROXY)
		return refuse(out, "the PROXY header's version or command is "
				   "not known");
	if (length < HTTP_PROXY_FIXED)
		return HTTP_PARSE_MORE;
	out->size = HTTP_PROXY_FIXED + number(bytes + 14);
	if (out->size > HTTP_PROXY_MAX)
		return refuse(out, "the PROXY header is longer than 2048 "
				   "bytes");
	return length < out->size ? HTTP_PARSE_MORE : whole(bytes, out);
}
