/*
 * A byte goes round a ring of socket pairs: the shape of the benchmark that libevent brings along.
 *
 * Of PIPES pairs, each with a persistent read event, ACTIVE get a byte to start with. Each pair that reads
 * a byte writes one to the next pair, WRITES times in all. Printed for each of RUNS runs, after one
 * that warms up and is not: nanoseconds per event. Before each run every event is deleted and added
 * again, outside the measured time, unless the fifth argument is `register-once`.
 */
#include <event2/event.h>
#include <event2/util.h>
#include <string.h>
#include <sys/socket.h>

#include "peer.h"

struct pair {
	evutil_socket_t fd[2];
	struct event *event;
};

static struct pair *pairs;
static size_t pipes, active, writes_each;
static size_t fired, reads, writes;

static void fire(size_t index)
{
	if (send(pairs[index].fd[1], "e", 1, 0) != 1)
		die("send");
	fired++;
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct pair *pair = arg;
	size_t next = (size_t)(pair - pairs) + 1;
	char byte;

	(void)what;
	if (recv(fd, &byte, 1, 0) != 1)
		die("recv");
	reads++;
	if (writes > 0) {
		writes--;
		fire(next < pipes ? next : 0);
	}
}

static double run(struct event_base *base, int again)
{
	if (again) {
		for (size_t i = 0; i < pipes; i++) {
			event_del(pairs[i].event);
			event_add(pairs[i].event, NULL);
		}
	}
	/* One empty turn, for backends that tell the kernel only when they wait. */
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);

	fired = reads = 0;
	writes = writes_each;
	for (size_t i = 0; i < active; i++)
		fire(i * pipes / active);
	uint64_t begin = now_ns();
	while (reads < fired)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	return (double)(now_ns() - begin) / (double)reads;
}

int main(int argc, char **argv)
{
	int again = argc == 5;

	if (!again && !(argc == 6 && strcmp(argv[5], "register-once") == 0)) {
		fprintf(stderr, "usage: ring_libevent PIPES ACTIVE WRITES RUNS [register-once]\n");
		return 2;
	}
	pipes = number(argv[1], 1);
	active = number(argv[2], 1);
	writes_each = number(argv[3], 0);
	size_t runs = number(argv[4], 1);
	if (active > pipes) {
		fprintf(stderr, "more active pipes than pipes\n");
		return 2;
	}
	raise_nofile();

	struct event_base *base = event_base_new();
	pairs = calloc(pipes, sizeof *pairs);
	if (!base || !pairs)
		die("start");
	for (size_t i = 0; i < pipes; i++) {
		struct pair *pair = &pairs[i];

		if (evutil_socketpair(AF_UNIX, SOCK_STREAM, 0, pair->fd) < 0)
			die("socketpair");
		evutil_make_socket_nonblocking(pair->fd[0]);
		evutil_make_socket_nonblocking(pair->fd[1]);
		pair->event = event_new(base, pair->fd[0], EV_READ | EV_PERSIST, on_read, pair);
		if (!pair->event || event_add(pair->event, NULL) < 0)
			die("event_add");
	}

	run(base, again);
	for (size_t i = 0; i < runs; i++) {
		printf("%.1f\n", run(base, again));
		fflush(stdout);
	}
	return 0;
}
