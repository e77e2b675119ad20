/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the API description, made from the daemon's own route table. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/description.h"

int main(void)
{
	struct buffer text = BUFFER_INIT((size_t)1024 * 1024);
	struct atom_error err = ATOM_ERROR_INIT;
	int exit_status = EXIT_FAILURE;

	if (openapi_build(&text, &err) != ATOM_OK)
		(void)fprintf(stderr, "print: %s\n", err.message);
	else if (fwrite(text.bytes, 1, text.length, stdout) == text.length &&
		 fflush(stdout) == 0)
		exit_status = EXIT_SUCCESS;
	buffer_fini(&text);
	return exit_status;
}
