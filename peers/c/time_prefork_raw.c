/*
 * `time` by preforked children: all block in accept on the one listener, and each serves the client that it gets.
 * The parent waits for the end of a child and starts the next one in its place (UNP 30.6, with a
 * supervisor of three lines).
 */
#define _GNU_SOURCE
#include "pool.h"

static void serve(int listener, size_t each)
{
	for (size_t served = 0; !each || served < each;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			die("accept");
		}
		tell_time(fd);
		close(fd);
		served++;
	}
}

static void start(int listener, size_t each)
{
	pid_t parent = getpid(), child = fork();

	if (child < 0)
		die("fork");
	if (child == 0) {
		die_with(parent);
		serve(listener, each);
		_exit(0);
	}
}

int main(int argc, char **argv)
{
	unsigned port;
	size_t workers, each;

	arguments(argc, argv, &port, &workers, &each);
	raise_nofile();
	int listener = listen_on(&port, 0);
	for (size_t i = 0; i < workers; i++)
		start(listener, each);
	announce_service(port, "time", "prefork-raw");
	while (wait(NULL) > 0)
		start(listener, each);
	die("wait");
}
