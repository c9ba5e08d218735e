/*
 * `upper` on libevent's bufferevents. The bytes are changed where they were read, and their memory
 * moves from the input to the output, so nothing is copied. A client that does not take its replies
 * is not read from.
 */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>

#include "peer.h"

/* As much may wait for a client before it is left unread; at half of it reading goes on. */
#define OWED_MAX ((size_t)512 * 1024)

static void on_read(struct bufferevent *bev, void *arg);
static void on_event(struct bufferevent *bev, short what, void *arg);

static size_t owed(struct bufferevent *bev)
{
	return evbuffer_get_length(bufferevent_get_output(bev));
}

static void on_room(struct bufferevent *bev, void *arg)
{
	bufferevent_setwatermark(bev, EV_WRITE, 0, 0);
	bufferevent_setcb(bev, on_read, NULL, on_event, arg);
	bufferevent_enable(bev, EV_READ);
}

static void on_drained(struct bufferevent *bev, void *arg)
{
	(void)arg;
	bufferevent_free(bev);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(input);
	unsigned char *bytes = evbuffer_pullup(input, -1);

	if (!bytes)
		return;
	upper(bytes, len);
	bufferevent_write_buffer(bev, input);
	if (owed(bev) > OWED_MAX) {
		bufferevent_disable(bev, EV_READ);
		bufferevent_setwatermark(bev, EV_WRITE, OWED_MAX / 2, 0);
		bufferevent_setcb(bev, on_read, on_room, on_event, arg);
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	if ((what & BEV_EVENT_EOF) && owed(bev) > 0)
		bufferevent_setcb(bev, NULL, on_drained, on_event, arg);
	else
		bufferevent_free(bev);
}

static void on_client(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
		      int from_len, void *arg)
{
	struct event_base *base = evconnlistener_get_base(listener);
	struct bufferevent *bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)from, (void)from_len;
	if (!bev)
		die("bufferevent_socket_new");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	bufferevent_setcb(bev, on_read, NULL, on_event, arg);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* Out of descriptors: a measurement that goes on without some of its clients lies. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	(void)listener, (void)arg;
	die("accept");
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t at_len = sizeof at;

	if (argc != 2) {
		fprintf(stderr, "usage: upper_libevent PORT\n");
		return 2;
	}
	raise_nofile();
	/* libevent writes with writev, which signals when the client is gone. */
	signal(SIGPIPE, SIG_IGN);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	at.sin_port = htons((uint16_t)number(argv[1], 0));

	struct event_base *base = event_base_new();
	if (!base)
		die("event_base_new");
	struct evconnlistener *listener = evconnlistener_new_bind(
		base, on_client, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
		1024, (struct sockaddr *)&at, sizeof at);
	if (!listener)
		die("listen");
	evconnlistener_set_error_cb(listener, on_accept_error);
	getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&at, &at_len);
	announce(ntohs(at.sin_port), "libevent");

	event_base_dispatch(base);
	return 1;
}
