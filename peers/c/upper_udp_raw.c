/*
 * `upper` on UDP by a plain recvmmsg/sendmmsg loop. With CHILDREN, so many processes do this on one socket.
 * With `epoll`, the loop waits by epoll_wait. With `single`, it is a plain recvfrom/sendto loop.
 */
#define _GNU_SOURCE
#include <sys/epoll.h>

#include "datagrams.h"

static void answer(int fd, struct batch *batch)
{
	int count = receive(fd, batch);

	for (int i = 0; i < count; i++) {
		size_t len = batch->headers[i].msg_len;

		upper(batch->bytes[i], len);
		batch->vectors[i].iov_len = len;
	}
	for (int sent = 0; sent < count;) {
		int n = sendmmsg(fd, batch->headers + sent, (unsigned)(count - sent), 0);

		/* The first one cannot be sent: the others may. */
		sent += n > 0 ? n : 1;
	}
}

static void serve(int fd)
{
	struct batch *batch = new_batch();

	for (;;)
		answer(fd, batch);
}

static void serve_by_epoll(int fd)
{
	struct batch *batch = new_batch();
	struct epoll_event event = { .events = EPOLLIN };
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll");
	for (;;)
		if (epoll_wait(epfd, &event, 1, -1) > 0)
			answer(fd, batch);
}

static void serve_single(int fd)
{
	static unsigned char bytes[DATAGRAM_MAX];

	for (;;) {
		struct sockaddr_storage peer;
		socklen_t peer_len = sizeof peer;
		ssize_t len = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&peer, &peer_len);

		if (len < 0)
			continue;
		upper(bytes, (size_t)len);
		sendto(fd, bytes, (size_t)len, 0, (struct sockaddr *)&peer, peer_len);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: upper_udp_raw PORT [CHILDREN|epoll|single]\n");
		return 2;
	}
	unsigned port = (unsigned)number(argv[1], 0);
	int single = argc > 2 && strcmp(argv[2], "single") == 0;
	int epoll = argc > 2 && strcmp(argv[2], "epoll") == 0;
	size_t children = argc > 2 && !single && !epoll ? number(argv[2], 1) : 0;
	int fd = bind_udp(&port);

	printf("listening udp:127.0.0.1:%u upper udp-raw pid %d\n", port, (int)getpid());
	fflush(stdout);
	if (single)
		serve_single(fd);
	if (epoll)
		serve_by_epoll(fd);
	if (children == 0)
		serve(fd);
	for (size_t i = 0; i < children; i++) {
		pid_t parent = getpid(), child = fork();

		if (child < 0)
			die("fork");
		if (child == 0) {
			die_with(parent);
			serve(fd);
		}
	}
	while (wait(NULL) > 0)
		;
	return 0;
}
