/* What the process pools have in common: a listener, and children that do not outlive their parent. */
#ifndef POOL_H
#define POOL_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "peer.h"

#define WORKERS_MAX 256

/* A listener on the loopback port; `flags` are those of socket(2). The real port comes back. */
static inline int listen_on(unsigned *port, int flags)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)*port) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	/* As ours: accepted sockets inherit it. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 1024) < 0)
		die("listen");
	getsockname(fd, (struct sockaddr *)&at, &len);
	*port = ntohs(at.sin_port);
	return fd;
}

/* Serves `time` to one client. */
static inline void tell_time(int fd)
{
	char text[24];
	int len = snprintf(text, sizeof text, "%lld\n", (long long)time(NULL));

	send(fd, text, (size_t)len, MSG_NOSIGNAL);
}

/* In a child: it ends with its parent, also one that ended before this. */
static inline void die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

static inline void usage(const char *name)
{
	fprintf(stderr, "usage: %s PORT [WORKERS [CONNECTIONS-PER-WORKER]]\n", name);
	exit(2);
}

/* The arguments, the same for all. 0 connections: without end. */
static inline void arguments(int argc, char **argv, unsigned *port, size_t *workers, size_t *each)
{
	if (argc < 2 || argc > 4)
		usage(argv[0]);
	*port = (unsigned)number(argv[1], 0);
	*workers = argc > 2 ? number(argv[2], 1) : 5;
	*each = argc > 3 ? number(argv[3], 0) : 0;
	if (*workers > WORKERS_MAX)
		usage(argv[0]);
}

#endif
