/* What the servers of datagrams have in common: a socket, memory for a batch, and children on one socket. */
#ifndef DATAGRAMS_H
#define DATAGRAMS_H

#include "pool.h"

#define BATCH 64
#define DATAGRAM_MAX 65536

/* A UDP socket on the loopback port. The real port comes back. */
static inline int bind_udp(unsigned *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)*port) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
		die("bind");
	getsockname(fd, (struct sockaddr *)&at, &len);
	*port = ntohs(at.sin_port);
	return fd;
}

struct batch {
	struct mmsghdr headers[BATCH];
	struct iovec vectors[BATCH];
	struct sockaddr_storage peers[BATCH];
	unsigned char bytes[BATCH][DATAGRAM_MAX];
};

static inline struct batch *new_batch(void)
{
	struct batch *batch = calloc(1, sizeof *batch);

	if (!batch)
		die("calloc");
	return batch;
}

/* Waits for one datagram, and takes what else is there. */
static inline int receive(int fd, struct batch *batch)
{
	for (int i = 0; i < BATCH; i++) {
		batch->vectors[i] = (struct iovec){ batch->bytes[i], DATAGRAM_MAX };
		batch->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &batch->peers[i],
			.msg_namelen = sizeof batch->peers[i],
			.msg_iov = &batch->vectors[i],
			.msg_iovlen = 1,
		};
	}
	int count = recvmmsg(fd, batch->headers, BATCH, MSG_WAITFORONE, NULL);

	if (count < 0 && errno != EINTR)
		die("recvmmsg");
	return count < 0 ? 0 : count;
}

#endif
