/*
 * `time` by children that are passed one connection at a time: the parent accepts, sends the
 * descriptor over the child's socket pair (SCM_RIGHTS), closes its own, and hears when the child is
 * idle again (UNP 30.9). A child that ends is replaced; what it held is lost.
 */
#define _GNU_SOURCE
#include <sys/epoll.h>

#include "pool.h"

struct child {
	pid_t pid;
	int channel;
};

static struct child children[WORKERS_MAX];
static size_t idle[WORKERS_MAX], idle_count;
static int epfd, listener, listening;
static size_t each;

/* The entry of the listener among the events; all others are numbers of children. */
#define LISTENER ((uint64_t)WORKERS_MAX)

static int send_fd(int channel, int fd)
{
	char byte = 'S';
	struct iovec part = { &byte, 1 };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.room,
				  .msg_controllen = sizeof control.room };

	memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	return sendmsg(channel, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* A descriptor, or -1 at the end. */
static int receive_fd(int channel)
{
	char byte;
	struct iovec part = { &byte, 1 };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.room,
				  .msg_controllen = sizeof control.room };
	int fd = -1;
	ssize_t n;

	while ((n = recvmsg(channel, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (n == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

static void serve(int channel)
{
	for (size_t served = 0; !each || served < each; served++) {
		int fd = receive_fd(channel);

		if (fd < 0)
			break;
		tell_time(fd);
		close(fd);
		if (send(channel, "D", 1, MSG_NOSIGNAL) != 1)
			break;
	}
}

static void watch(int op, int fd, uint64_t which, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = which };

	if (epoll_ctl(epfd, op, fd, &event) < 0)
		die("epoll_ctl");
}

/* Clients are accepted while a worker is idle. */
static void listen_if_idle(void)
{
	if (listening != (idle_count > 0)) {
		listening = idle_count > 0;
		watch(EPOLL_CTL_MOD, listener, LISTENER, listening ? EPOLLIN : 0);
	}
}

static void start(size_t which)
{
	int pair[2];
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		die_with(parent);
		close(epfd);
		close(listener);
		close(pair[0]);
		for (size_t i = 0; i < WORKERS_MAX; i++)
			if (children[i].pid && i != which)
				close(children[i].channel);
		serve(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	children[which] = (struct child){ pid, pair[0] };
	watch(EPOLL_CTL_ADD, pair[0], which, EPOLLIN);
	idle[idle_count++] = which;
}

static void lost(size_t which)
{
	close(children[which].channel);
	waitpid(children[which].pid, NULL, 0);
	children[which].pid = 0;
	for (size_t i = 0; i < idle_count; i++)
		if (idle[i] == which)
			idle[i--] = idle[--idle_count];
	start(which);
}

static void on_child(size_t which)
{
	char byte;
	ssize_t n = recv(children[which].channel, &byte, 1, MSG_DONTWAIT);

	if (n == 1)
		idle[idle_count++] = which;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		lost(which);
}

static void on_client(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return;
		die("accept");
	}
	/* A child that ended a moment ago takes nothing; its end is reported next. */
	while (idle_count > 0 && send_fd(children[idle[--idle_count]].channel, fd) < 0)
		;
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned port;
	size_t workers;
	struct epoll_event events[256];

	arguments(argc, argv, &port, &workers, &each);
	raise_nofile();
	listener = listen_on(&port, SOCK_NONBLOCK);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll");
	watch(EPOLL_CTL_ADD, listener, LISTENER, 0);
	for (size_t i = 0; i < workers; i++)
		start(i);
	listen_if_idle();
	announce_service(port, "time", "fdpass-raw");

	for (;;) {
		int count = epoll_wait(epfd, events, 256, -1);

		if (count < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < count; i++) {
			if (events[i].data.u64 == LISTENER) {
				/* One of those that wait: the others are reported again. */
				if (idle_count > 0)
					on_client();
			} else {
				on_child((size_t)events[i].data.u64);
			}
		}
		listen_if_idle();
	}
}
