/*
 * Both ends of `xfer` as they are first written: a block, its acknowledgement, the next block. Each end waits for its
 * peer by poll(2), and sends again after a second; the server serves one client after another.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>

#include "datagrams.h"

enum { PATH = 1, DATA, EOT, ACK, ERROR };

#define BLOCK 1024
#define HEAD 12
#define TRIES 30

static void put(unsigned char *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, sizeof value);
}

static uint32_t get(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof value);
	return ntohl(value);
}

/* The next datagram that comes within a second; 0: there is none. */
static size_t await(int fd, unsigned char *buf, size_t len)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	if (poll(&ready, 1, 1000) <= 0)
		return 0;
	ssize_t n = recv(fd, buf, len, MSG_DONTWAIT);
	return n < 0 ? 0 : (size_t)n;
}

/* Sends a packet until it is acknowledged. */
static int deliver(int fd, const unsigned char *packet, size_t len, uint32_t seq)
{
	unsigned char answer[HEAD + BLOCK];

	for (int tries = 0; tries < TRIES; tries++) {
		size_t n;

		if (send(fd, packet, len, MSG_NOSIGNAL) < 0)
			return -1;
		while ((n = await(fd, answer, sizeof answer)) > 0) {
			if (n == 8 && get(answer) == ACK && get(answer + 4) == seq)
				return 0;
			if (n >= 4 && get(answer) == ERROR)
				return -1;
		}
	}
	return -1;
}

static void serve_one(int root, const char *path, const struct sockaddr_in *peer)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	unsigned char packet[HEAD + BLOCK];
	uint32_t seq = 1;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
	    connect(fd, (const struct sockaddr *)peer, sizeof *peer) < 0)
		die("socket");
	int file = openat(root, path, O_RDONLY | O_CLOEXEC);
	if (file < 0) {
		static const char text[] = "no such file";

		put(packet, ERROR);
		put(packet + 4, 1);
		memcpy(packet + 8, text, sizeof text);
		send(fd, packet, 8 + sizeof text, MSG_NOSIGNAL);
		close(fd);
		return;
	}
	for (;; seq++) {
		ssize_t n = read(file, packet + HEAD, BLOCK);

		if (n <= 0)
			break;
		put(packet, DATA);
		put(packet + 4, seq);
		put(packet + 8, (uint32_t)n);
		if (deliver(fd, packet, HEAD + (size_t)n, seq) < 0)
			goto out;
	}
	put(packet, EOT);
	put(packet + 4, seq);
	deliver(fd, packet, 8, seq);
out:
	close(file);
	close(fd);
}

static _Noreturn void serve(unsigned port, const char *folder)
{
	int fd = bind_udp(&port);
	int root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		die(folder);
	printf("listening udp:127.0.0.1:%u xfer udp-raw pid %d\n", port, (int)getpid());
	fflush(stdout);
	for (;;) {
		unsigned char request[4 + 1024];
		struct sockaddr_in peer;
		socklen_t len = sizeof peer;
		ssize_t n = recvfrom(fd, request, sizeof request, 0, (struct sockaddr *)&peer, &len);

		if (n > 5 && get(request) == PATH && request[n - 1] == '\0')
			serve_one(root, (char *)request + 4, &peer);
	}
}

static int fetch(unsigned port, const char *path, const char *to)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	unsigned char request[4 + 1024], packet[HEAD + BLOCK], ack[8];
	size_t asked = 4 + strlen(path) + 1;
	uint32_t next = 1;
	int tries = 0;

	if (asked > sizeof request)
		return 2;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int file = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 || file < 0)
		die(to);
	put(request, PATH);
	memcpy(request + 4, path, asked - 4);
	put(ack, ACK);
	while (tries++ < TRIES) {
		if (next == 1) {
			if (sendto(fd, request, asked, 0, (struct sockaddr *)&at, sizeof at) < 0)
				die("sendto");
			struct pollfd ready = { .fd = fd, .events = POLLIN };
			socklen_t len = sizeof at;
			char first;
			/* The port that answers is that of the transfer. */
			if (poll(&ready, 1, 1000) <= 0 ||
			    recvfrom(fd, &first, 1, MSG_PEEK, (struct sockaddr *)&at, &len) < 0 ||
			    connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
				continue;
		} else if (send(fd, ack, sizeof ack, MSG_NOSIGNAL) < 0) {
			die("send");
		}
		for (size_t n; (n = await(fd, packet, sizeof packet)) >= 8;) {
			uint32_t kind = get(packet), seq = get(packet + 4);

			if (kind == ERROR)
				return 1;
			if ((kind != DATA && kind != EOT) || seq != next)
				continue;
			if (kind == DATA && write(file, packet + HEAD, n - HEAD) != (ssize_t)(n - HEAD))
				die("write");
			put(ack + 4, seq);
			if (kind == EOT) {
				send(fd, ack, sizeof ack, MSG_NOSIGNAL);
				return 0;
			}
			next++;
			tries = 0;
			if (send(fd, ack, sizeof ack, MSG_NOSIGNAL) < 0)
				die("send");
		}
	}
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		serve((unsigned)number(argv[2], 0), argv[3]);
	if (argc == 5 && strcmp(argv[1], "get") == 0)
		return fetch((unsigned)number(argv[2], 1), argv[3], argv[4]);
	fprintf(stderr, "usage: xfer_raw serve PORT FOLDER | xfer_raw get PORT PATH FILE\n");
	return 2;
}
