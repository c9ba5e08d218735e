/*
 * `upper` on bare epoll: level-triggered, one buffer for all connections, and a reply is written at
 * once. Only when a socket is full does the rest get memory of its own, and the kernel a request to
 * report room; until that rest is gone nothing more is read from the client.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "peer.h"

struct conn {
	int fd;
	unsigned char *backlog;
	size_t len, sent;
};

static int epfd;
static unsigned char shared[64 * 1024];

static void hang_up(struct conn *conn)
{
	close(conn->fd);
	free(conn->backlog);
	free(conn);
}

static void watch(struct conn *conn, int op, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = conn };

	if (epoll_ctl(epfd, op, conn->fd, &event) < 0)
		die("epoll_ctl");
}

/* How much the socket took, or -1 when the connection is lost. */
static ssize_t put(struct conn *conn, const unsigned char *bytes, size_t len)
{
	ssize_t n = send(conn->fd, bytes, len, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n;
}

static void on_readable(struct conn *conn)
{
	ssize_t n = recv(conn->fd, shared, sizeof shared, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* At the end nothing is owed: while there is a backlog, nothing is read. */
	if (n <= 0) {
		hang_up(conn);
		return;
	}
	upper(shared, (size_t)n);
	ssize_t sent = put(conn, shared, (size_t)n);
	if (sent < 0) {
		hang_up(conn);
	} else if (sent < n) {
		conn->len = (size_t)(n - sent);
		conn->sent = 0;
		conn->backlog = malloc(conn->len);
		if (!conn->backlog)
			die("malloc");
		memcpy(conn->backlog, shared + sent, conn->len);
		watch(conn, EPOLL_CTL_MOD, EPOLLOUT);
	}
}

static void on_writable(struct conn *conn)
{
	ssize_t n = put(conn, conn->backlog + conn->sent, conn->len - conn->sent);

	if (n < 0) {
		hang_up(conn);
		return;
	}
	conn->sent += (size_t)n;
	if (conn->sent == conn->len) {
		free(conn->backlog);
		conn->backlog = NULL;
		watch(conn, EPOLL_CTL_MOD, EPOLLIN);
	}
}

static void on_clients(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			if (errno == EAGAIN)
				return;
			/* Out of descriptors: a measurement that goes on without some of its clients lies. */
			die("accept");
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		struct conn *conn = calloc(1, sizeof *conn);
		if (!conn)
			die("calloc");
		conn->fd = fd;
		watch(conn, EPOLL_CTL_ADD, EPOLLIN);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t at_len = sizeof at;
	struct epoll_event events[256];

	if (argc != 2) {
		fprintf(stderr, "usage: upper_raw PORT\n");
		return 2;
	}
	raise_nofile();
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	at.sin_port = htons((uint16_t)number(argv[1], 0));
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0)
		die("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1024) < 0)
		die("listen");
	getsockname(listener, (struct sockaddr *)&at, &at_len);

	epfd = epoll_create1(EPOLL_CLOEXEC);
	/* The listener is the one entry without a connection. */
	struct epoll_event clients = { .events = EPOLLIN };
	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &clients) < 0)
		die("epoll");
	announce(ntohs(at.sin_port), "raw");

	for (;;) {
		int count = epoll_wait(epfd, events, 256, -1);

		if (count < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < count; i++) {
			struct conn *conn = events[i].data.ptr;

			if (!conn)
				on_clients(listener);
			else if (conn->backlog)
				on_writable(conn);
			else
				on_readable(conn);
		}
	}
}
