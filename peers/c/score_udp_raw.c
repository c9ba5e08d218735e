/*
 * A score listener on UDP by a plain recvmmsg loop: it checks each score and prints a line for it, with one
 * write for each batch. Its `listening` line goes to standard error, as that of `windlass score listen`.
 */
#define _GNU_SOURCE
#include "datagrams.h"

#define SCORE_MIN 9
#define SCORE_MAX 504
#define LINE_MAX 600

/* The length of the line, or 0: it is no score. */
static int render(const unsigned char *bytes, size_t len, const struct sockaddr_in *peer, char *line)
{
	uint32_t marks[2];
	char host[INET_ADDRSTRLEN];

	if (len < SCORE_MIN || len > SCORE_MAX || memchr(bytes + 8, 0, len - 8) != bytes + len - 1)
		return 0;
	memcpy(marks, bytes, sizeof marks);
	inet_ntop(AF_INET, &peer->sin_addr, host, sizeof host);
	return snprintf(line, LINE_MAX, "%s %u %s %u %u\n", host, ntohs(peer->sin_port), (const char *)bytes + 8,
			ntohl(marks[0]), ntohl(marks[1]));
}

int main(int argc, char **argv)
{
	static char text[BATCH * LINE_MAX];

	if (argc != 2) {
		fprintf(stderr, "usage: score_udp_raw PORT\n");
		return 2;
	}
	unsigned port = (unsigned)number(argv[1], 0);
	int fd = bind_udp(&port);
	struct batch *batch = new_batch();

	fprintf(stderr, "listening udp:127.0.0.1:%u score udp-raw pid %d\n", port, (int)getpid());
	for (;;) {
		int count = receive(fd, batch);
		size_t len = 0;

		for (int i = 0; i < count; i++)
			len += (size_t)render(batch->bytes[i], batch->headers[i].msg_len,
					      (struct sockaddr_in *)&batch->peers[i], text + len);
		if (len > 0 && write(STDOUT_FILENO, text, len) < 0)
			die("write");
	}
}
