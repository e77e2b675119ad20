/* SPDX-License-Identifier: Apache-2.0 */
#include "rehearsal.h"

#include <math.h>

/* The load that gives the unit of spare slots: a mean of five minutes. */
#define LOAD_MEMORY_S 300.0f
/* Every other second is a tick. */
#define TICK_S 2
/* Rounding that shall not cost an instance. */
#define NEARLY 0.001f
/* So much of a waiting call brings an evaluation at once. */
#define WAITS 0.5f
/* What a start costs beside the instance's own time, in instance-seconds: a
 * process made, caches filled, a change that somebody reads of.  So that no
 * rule comes and goes for the sake of a second. */
#define START_COST_S 1.0f

/* How the two clocks of a rehearsal are cut into steps. */
struct steps {
	int age_s; /* seconds of one age */
	int ages;  /* within the target wait */
	int due_s; /* seconds of one due */
	int due;   /* where a start begins; -1: ready within the second */
	bool ages_now;
	bool dues_now;
	bool tick;
};

static int at_least(int value, int least)
{
	return value > least ? value : least;
}

static struct steps steps_of(const struct stage *stage,
			     const struct service *service)
{
	int cold_s = (int)(service->cold_start_s + 0.5f);
	int seconds = (int)stage->seconds;
	struct steps steps;

	steps.age_s = at_least((int)ceilf(service->target_s / (AGES - 1)), 1);
	steps.ages =
		at_least((int)ceilf(service->target_s / (float)steps.age_s), 1);
	if (steps.ages > AGES - 1)
		steps.ages = AGES - 1;
	steps.due_s = at_least((cold_s + DUES - 2) / (DUES - 1), 1);
	steps.due = cold_s / steps.due_s - 1;
	if (cold_s > 0 && steps.due < 0)
		steps.due = 0;
	if (steps.due > DUES - 1)
		steps.due = DUES - 1;
	steps.ages_now = seconds % steps.age_s == 0;
	steps.dues_now = seconds % steps.due_s == 0;
	steps.tick = seconds % TICK_S == 0;
	return steps;
}

static float sum(const float *values, int count)
{
	float all = 0;

	for (int i = 0; i < count; i++)
		all += values[i];
	return all;
}

float stage_slots(const struct stage *stage, const struct rule *rule,
		  const struct service *service, float at_work, float waiting)
{
	float left = rule->patience * at_work *
		     fminf(service->target_s / service->mean_s, 1);
	float calls = at_work + fmaxf(waiting - left, 0);
	int hold = rule->hold;

	if (hold > 0 && stage->peak[hold] > calls)
		calls = stage->peak[hold];
	if (hold > 0 && stage->peak_before[hold] > calls)
		calls = stage->peak_before[hold];
	return calls + rule->spare * stage->unit;
}

/* --- one rule's second -------------------------------------------------------- */

/* A slot is in use for a part of the second only where calls are short, and
 * then takes more than one of them. */
static void begin(struct rehearsal *r, const struct service *service,
		  float calls)
{
	for (int i = 0; i < PHASES; i++)
		r->at_work[i] += calls * service->share[i] * service->stays[i];
}

/* The oldest first. */
static void serve(struct rehearsal *r, const struct service *service,
		  float room)
{
	room /= service->stay;
	for (int i = AGES - 1; i >= 0 && room > 0; i--) {
		float taken = r->waiting[i] < room ? r->waiting[i] : room;

		r->waiting[i] -= taken;
		room -= taken;
		begin(r, service, taken);
	}
}

static float room_of(const struct rehearsal *r, float concurrency)
{
	return r->ready * concurrency - sum(r->at_work, PHASES);
}

static void grow_old(struct rehearsal *r, const struct steps *steps,
		     bool counts)
{
	float late = r->waiting[steps->ages - 1];

	if (counts)
		r->late += late;
	r->waiting[steps->ages - 1] = 0;
	r->waiting[AGES - 1] += late;
	for (int i = steps->ages - 1; i > 0; i--) {
		r->waiting[i] = r->waiting[i - 1];
		r->waiting[i - 1] = 0;
	}
}

static void become_ready(struct rehearsal *r)
{
	r->ready += r->starting[0];
	for (int i = 0; i < DUES - 1; i++)
		r->starting[i] = r->starting[i + 1];
	r->starting[DUES - 1] = 0;
}

/* Instances that calls are on, packed on the fullest: how many more than need
 * be was measured on simulated Poisson loads of 1 to 40 calls at once and 2 to
 * 8 slots. */
static float packed(float at_work, float concurrency)
{
	float full = at_work / concurrency;

	return full + 0.6f * sqrtf(full * (1 - 1 / concurrency));
}

static void move_calls(float *from, float *to, float part)
{
	for (int i = 0; i < PHASES; i++) {
		float moved = from[i] * part;

		from[i] -= moved;
		to[i] += moved;
	}
}

/* Idle ones, then starting ones, then busy ones, as the host does.  A busy one
 * takes its calls along and costs until the last of them has ended: there are
 * no more that drain than there are calls on them. */
static void remove_some(struct rehearsal *r, float less, float concurrency)
{
	float at_work = sum(r->at_work, PHASES);
	float used = r->ready > 0 ? at_work / (r->ready * concurrency) : 0;
	float taken, calls, idle;

	if (used > 1)
		used = 1;
	idle = fmaxf(r->ready - packed(at_work, concurrency), 0);
	taken = idle < less ? idle : less;
	r->ready -= taken;
	less -= taken;
	for (int i = DUES - 1; i >= 0 && less > 0; i--) {
		taken = r->starting[i] < less ? r->starting[i] : less;
		r->starting[i] -= taken;
		less -= taken;
	}
	if (less > r->ready)
		less = r->ready;
	if (less <= 0)
		return;
	calls = less * used * concurrency;
	if (calls > at_work)
		calls = at_work;
	move_calls(r->at_work, r->leaving_at_work,
		   at_work > 0 ? calls / at_work : 0);
	r->leaving += less;
	r->ready -= less;
}

/* How many of `more` serve again, with the calls that they had. */
static float take_back(struct rehearsal *r, float more)
{
	float back = r->leaving < more ? r->leaving : more;

	if (!(back > 0))
		return 0;
	move_calls(r->leaving_at_work, r->at_work, back / r->leaving);
	r->leaving -= back;
	r->ready += back;
	return back;
}

static void add_some(struct rehearsal *r, const struct service *service,
		     const struct steps *steps, float more, float concurrency)
{
	more -= take_back(r, more);
	serve(r, service, room_of(r, concurrency));
	r->cost_s += START_COST_S * more;
	if (steps->due >= 0) {
		r->starting[steps->due] += more;
		return;
	}
	r->ready += more;
	r->cost_s += service->cold_start_s * more;
	serve(r, service, room_of(r, concurrency));
}

static float bounded(float instances, const struct atom_load *load)
{
	if (instances < (float)load->min)
		return (float)load->min;
	if (instances > (float)load->max)
		return (float)load->max;
	return instances;
}

static void play(const struct stage *stage, int index,
		 const struct atom_load *load, const struct service *service,
		 const struct steps *steps, struct rehearsal *r, float arrived,
		 bool counts)
{
	const struct rule rule = rule_at(index);
	float concurrency = (float)load->concurrency;
	float room, waiting, calls, wanted, have;

	if (steps->dues_now)
		become_ready(r);
	for (int i = 0; i < PHASES; i++) {
		r->at_work[i] *= 1 - service->ends[i];
		r->leaving_at_work[i] *= 1 - service->ends[i];
	}
	r->leaving = fminf(r->leaving, sum(r->leaving_at_work, PHASES));
	serve(r, service, room_of(r, concurrency));
	if (steps->ages_now)
		grow_old(r, steps, counts);
	room = room_of(r, concurrency);
	if (room < 0 || sum(r->waiting, AGES) > 0)
		room = 0;
	room /= service->stay;
	if (room > arrived)
		room = arrived;
	begin(r, service, room);
	r->waiting[0] += arrived - room;

	waiting = sum(r->waiting, AGES);
	calls = sum(r->at_work, PHASES) + sum(r->leaving_at_work, PHASES);
	wanted = stage_slots(stage, &rule, service, calls, waiting);
	wanted = ceilf(wanted / concurrency - NEARLY);
	wanted = bounded(wanted > rule.floor ? wanted : rule.floor, load);
	if (waiting > NEARLY && wanted < 1)
		wanted = 1;
	have = r->ready + sum(r->starting, DUES);
	if (wanted > have && (steps->tick || waiting > WAITS))
		add_some(r, service, steps, wanted - have, concurrency);
	else if (wanted < have && steps->tick)
		remove_some(r, have - wanted, concurrency);
	r->cost_s += r->ready + sum(r->starting, DUES) + r->leaving;
}

/* --- all rules' second -------------------------------------------------------- */

static void note_demand(struct stage *stage, const struct atom_load *load,
			const struct service *service, float arrived)
{
	float half = (float)load->concurrency / 2;

	for (int i = 0; i < PHASES; i++)
		stage->demand_at_work[i] =
			stage->demand_at_work[i] * (1 - service->ends[i]) +
			arrived * service->share[i] * service->stays[i];
	stage->demand = sum(stage->demand_at_work, PHASES);
	stage->load +=
		(arrived * service->mean_s - stage->load) / LOAD_MEMORY_S;
	stage->unit = sqrtf(stage->load);
	if (!(stage->unit > half))
		stage->unit = half;
	for (int i = 1; i < RULE_HOLDS; i++) {
		if (stage->seconds % (uint32_t)(rule_hold_s[i] / 2) == 0) {
			stage->peak_before[i] = stage->peak[i];
			stage->peak[i] = 0;
		}
		if (stage->demand > stage->peak[i])
			stage->peak[i] = stage->demand;
	}
}

void stage_play(struct stage *stage, const struct atom_load *load,
		const struct service *service, float arrived, float keep,
		bool counts)
{
	struct steps steps;

	stage->seconds++;
	note_demand(stage, load, service, arrived);
	steps = steps_of(stage, service);
	for (int i = 0; i < RULES; i++) {
		struct rehearsal *r = &stage->of[i];

		play(stage, i, load, service, &steps, r, arrived, counts);
		r->cost_s *= keep;
		r->late *= keep;
	}
}
