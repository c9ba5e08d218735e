/*
 * How far a persistent timer of 10 ms has drifted after 100 ticks, each of which works for 3 ms:
 * prints the start of the last tick, less the second that it should have taken, in microseconds.
 */
#include <event2/event.h>
#include <inttypes.h>

#include "peer.h"

#define TICKS 100

static uint64_t last;
static unsigned ticks;

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	last = now_ns();
	if (++ticks == TICKS)
		event_base_loopbreak(arg);
	while (now_ns() - last < 3000000)
		;
}

int main(void)
{
	struct timeval period = { .tv_usec = 10000 };
	struct event_base *base = event_base_new();
	struct event *timer = base ? event_new(base, -1, EV_PERSIST, on_tick, base) : NULL;

	if (!timer)
		die("start");
	uint64_t start = now_ns();
	event_add(timer, &period);
	event_base_dispatch(base);
	printf("%" PRId64 "\n", ((int64_t)(last - start) - 1000000000) / 1000);
	return 0;
}
