/*
 * `files` as it is first written: one client after another, and for each frame of 4096 bytes a read
 * from the file, a write of the length and a write of the bytes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "peer.h"

/* All of it, or -1. */
static int write_all(int fd, const void *from, size_t len)
{
	const char *bytes = from;

	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_all(int fd, void *to, size_t len)
{
	return recv(fd, to, len, MSG_WAITALL) == (ssize_t)len ? 0 : -1;
}

static int write_frame(int fd, const void *bytes, uint32_t len)
{
	uint32_t header = htonl(len);

	return write_all(fd, &header, sizeof header) < 0 ? -1 : write_all(fd, bytes, len);
}

static void serve(int client, int root)
{
	char name[4096], frame[4096];
	uint32_t len;

	if (read_all(client, &len, sizeof len) < 0)
		return;
	len = ntohl(len);
	if (len == 0 || len >= sizeof name || read_all(client, name, len) < 0)
		return;
	name[len] = '\0';
	int file = openat(root, name, O_RDONLY | O_CLOEXEC);
	if (file < 0 || write_frame(client, name, len) < 0)
		return;
	for (;;) {
		ssize_t n = read(file, frame, sizeof frame);
		if (n < 0 || write_frame(client, frame, (uint32_t)n) < 0 || n == 0)
			break;
	}
	close(file);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t at_len = sizeof at;

	if (argc != 3) {
		fprintf(stderr, "usage: files_plain PORT FOLDER\n");
		return 2;
	}
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	at.sin_port = htons((uint16_t)number(argv[1], 0));
	int root = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (root < 0 || listener < 0)
		die("open");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1024) < 0)
		die("listen");
	getsockname(listener, (struct sockaddr *)&at, &at_len);
	printf("listening tcp:127.0.0.1:%u files plain pid %d\n", ntohs(at.sin_port), (int)getpid());
	fflush(stdout);
	for (;;) {
		int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (client < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			die("accept");
		}
		serve(client, root);
		close(client);
	}
}
