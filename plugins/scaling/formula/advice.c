/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/formula/advice.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void advice_give(struct atom_scaling_advice *advice,
		 const struct atom_load *load, int32_t wanted,
		 const struct advice_cause *cause, const char *format, ...)
{
	va_list args;

	advice->wanted = wanted;
	advice->action = wanted < 0		  ? ATOM_SCALE_NONE
			 : wanted > load->desired ? ATOM_SCALE_ADD
			 : wanted < load->desired ? ATOM_SCALE_REMOVE
						  : ATOM_SCALE_NONE;
	advice->value = isfinite(cause->value) ? cause->value : -1;
	(void)snprintf(advice->metric, sizeof(advice->metric), "%s",
		       cause->metric);
	(void)snprintf(advice->reason_code, sizeof(advice->reason_code), "%s",
		       cause->code);
	va_start(args, format);
	(void)vsnprintf(advice->reason, sizeof(advice->reason), format, args);
	va_end(args);
}

bool advice_sleeper(const struct atom_load *load)
{
	return load->desired <= 0 && load->waiting > 0;
}

void advice_wake(struct atom_scaling_advice *advice,
		 const struct atom_load *load)
{
	struct advice_cause cause = {
		.metric = "waiting",
		.code = "call_waits",
		.value = (double)load->waiting,
	};

	advice_give(advice, load, 1, &cause,
		    "%lld calls wait and no instance is in force: 1 wanted",
		    (long long)load->waiting);
}
