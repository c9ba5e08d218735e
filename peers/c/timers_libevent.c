/*
 * What a timer costs: COUNT of them, added, cancelled, fired and re-armed.
 *
 * Prints for each of RUNS runs, in nanoseconds per timer, one line
 * `add NS cancel NS fire NS rearm NS rearm-aged NS rearm-common NS`. What is added, cancelled and
 * re-armed is so in a callback, where programs do it: there libevent does not read the clock anew
 * for each call.
 *
 * - add: timeouts uniform in 0..60 s
 * - cancel: the same ones, in another order
 * - fire: timeouts uniform in 0..1 ms, all due when the loop is entered
 * - rearm: 30 s for each again, while each is pending with 30 s. All deadlines are the same, so that
 *   a heap has nothing to move
 * - rearm-aged: 30 s for each again, while uniform in 0..30 s are left, as in a server at work
 * - rearm-common: as rearm, with libevent's queue for a timeout that many share
 */
#include <event2/event.h>
#include <event2/event_struct.h>

#include "peer.h"

static size_t count, fired;
static struct event *timers;
static size_t *order;
/* Drawn beforehand, so that drawing is not measured. */
static struct timeval *timeouts;

static uint64_t random_u64(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void draw_timeouts(uint64_t below_us)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t us = random_u64() % below_us;

		timeouts[i].tv_sec = (time_t)(us / 1000000);
		timeouts[i].tv_usec = (suseconds_t)(us % 1000000);
	}
}

static void shuffle(void)
{
	for (size_t i = count - 1; i > 0; i--) {
		size_t j = random_u64() % (i + 1);
		size_t other = order[i];

		order[i] = order[j];
		order[j] = other;
	}
}

static double per_timer(uint64_t begin)
{
	return (double)(now_ns() - begin) / (double)count;
}

static void add_all_drawn(void)
{
	for (size_t i = 0; i < count; i++)
		event_add(&timers[i], &timeouts[i]);
}

static void add_all(const struct timeval *timeout)
{
	for (size_t i = 0; i < count; i++)
		event_add(&timers[i], timeout);
}

static void cancel_all(void)
{
	for (size_t i = 0; i < count; i++)
		event_del(&timers[order[i]]);
}

/* Cancels them too: the next measurement adds its own. */
static double rearm(const struct timeval *timeout)
{
	uint64_t begin = now_ns();
	add_all(timeout);
	double ns = per_timer(begin);
	cancel_all();
	return ns;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	fired++;
}

struct costs {
	struct event_base *base;
	double add, cancel, rearm, rearm_aged, rearm_common;
};

static void measure(evutil_socket_t fd, short what, void *arg)
{
	struct costs *costs = arg;
	const struct timeval half_minute = { .tv_sec = 30 };
	const struct timeval *common = event_base_init_common_timeout(costs->base, &half_minute);

	(void)fd, (void)what;
	draw_timeouts(60000000);
	shuffle();
	uint64_t begin = now_ns();
	add_all_drawn();
	costs->add = per_timer(begin);
	begin = now_ns();
	cancel_all();
	costs->cancel = per_timer(begin);

	add_all(&half_minute);
	costs->rearm = rearm(&half_minute);
	draw_timeouts(30000000);
	add_all_drawn();
	costs->rearm_aged = rearm(&half_minute);
	add_all(common);
	costs->rearm_common = rearm(common);
}

static double fire(struct event_base *base)
{
	draw_timeouts(1000);
	add_all_drawn();
	/* libevent's clock is a coarse one unless asked otherwise: a margin beyond its few ms. */
	usleep(20000);
	fired = 0;
	uint64_t begin = now_ns();
	while (fired < count)
		event_base_loop(base, EVLOOP_ONCE);
	return per_timer(begin);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: timers_libevent COUNT RUNS\n");
		return 2;
	}
	count = number(argv[1], 1);
	size_t runs = number(argv[2], 1);
	struct costs costs = { .base = event_base_new() };
	timers = calloc(count, sizeof *timers);
	order = calloc(count, sizeof *order);
	timeouts = calloc(count, sizeof *timeouts);
	if (!costs.base || !timers || !order || !timeouts)
		die("start");
	for (size_t i = 0; i < count; i++) {
		order[i] = i;
		event_assign(&timers[i], costs.base, -1, 0, on_timer, NULL);
	}

	for (size_t i = 0; i < runs; i++) {
		event_base_once(costs.base, -1, EV_TIMEOUT, measure, &costs, NULL);
		event_base_loop(costs.base, EVLOOP_ONCE);
		double fire_ns = fire(costs.base);
		printf("add %.1f cancel %.1f fire %.1f rearm %.1f rearm-aged %.1f rearm-common %.1f\n",
		       costs.add, costs.cancel, fire_ns, costs.rearm, costs.rearm_aged,
		       costs.rearm_common);
		fflush(stdout);
	}
	return 0;
}
