/* The header in C, and every function through it: what a C program sees. */
#include <keepnet/posix.h>

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

int echo_in_c(const struct sockaddr_in6 *to, int listener);
int info_in_c(int fd, unsigned bytes_sent);

/* TCP_INFO in the kernel's own layout, of a connection that has sent so much. 0: as it should be; else the line. */
int info_in_c(int fd, unsigned bytes_sent) {
    struct tcp_info info;
    socklen_t length = sizeof info;
    memset(&info, 0, sizeof info);
    if (kn_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 || length != sizeof info) return __LINE__;
    if (info.tcpi_state != 1 || (info.tcpi_options & TCPI_OPT_WSCALE) == 0) return __LINE__;
    if (info.tcpi_snd_wscale != info.tcpi_rcv_wscale || info.tcpi_snd_wscale == 0) return __LINE__;
    if (info.tcpi_snd_cwnd < 10 || info.tcpi_snd_mss < 1000 || info.tcpi_rto < 200000) return __LINE__;
    if (info.tcpi_bytes_acked != bytes_sent + 1) return __LINE__; /* the SYN counts */
    if (info.tcpi_bytes_sent != bytes_sent || info.tcpi_snd_wnd == 0 || info.tcpi_notsent_bytes != 0) return __LINE__;
    return 0;
}

/* A conversation of a client and a server in one thread. 0: all went well; else the line. */
int echo_in_c(const struct sockaddr_in6 *to, int listener) {
    char buffer[16];
    struct iovec part;
    struct msghdr message;
    struct pollfd set[2];
    struct epoll_event event;
    struct timeval soon = {0, 1000};
    fd_set readable;
    int server, one = 1, waiting = 0;
    socklen_t length = sizeof one;
    int client = kn_socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int epoll = kn_epoll_create1(0);
    if (client < 0 || epoll < 0) return __LINE__;
    if (kn_setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one) != 0) return __LINE__;
    if (kn_connect(client, (const struct sockaddr *)to, sizeof *to) != 0) return __LINE__;
    server = kn_accept(listener, NULL, NULL);
    if (server < 0) return __LINE__;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN;
    event.data.fd = server;
    if (kn_epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event) != 0) return __LINE__;
    if (kn_write(client, "hello", 5) != 5) return __LINE__;
    if (kn_epoll_wait(epoll, &event, 1, -1) != 1 || event.data.fd != server) return __LINE__;
    if (kn_ioctl(server, 0x541B /* FIONREAD */, &waiting) != 0 || waiting != 5) return __LINE__;
    FD_ZERO(&readable);
    FD_SET(server, &readable);
    if (kn_select(server + 1, &readable, NULL, NULL, &soon) != 1 || !FD_ISSET(server, &readable)) return __LINE__;
    if (kn_read(server, buffer, sizeof buffer) != 5 || memcmp(buffer, "hello", 5) != 0) return __LINE__;
    part.iov_base = buffer;
    part.iov_len = 5;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (kn_sendmsg(server, &message, MSG_NOSIGNAL) != 5) return __LINE__;
    set[0].fd = client;
    set[0].events = POLLIN;
    if (kn_poll(set, 1, -1) != 1 || set[0].revents != POLLIN) return __LINE__;
    if (kn_recv(client, buffer, 5, MSG_WAITALL) != 5) return __LINE__;
    if (kn_getsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &one, &length) != 0 || one != 1) return __LINE__;
    if (kn_shutdown(client, SHUT_WR) != 0) return __LINE__;
    if (kn_read(server, buffer, sizeof buffer) != 0) return __LINE__;
    if (kn_close(epoll) != 0 || kn_close(client) != 0 || kn_close(server) != 0) return __LINE__;
    if (kn_close(server) != -1 || errno != EBADF) return __LINE__;
    return 0;
}
