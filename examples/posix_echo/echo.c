/* A server and a client as any C program has them, with kn_ before each call. They meet at ::1, port 7. */
#include <keepnet/posix.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

int echo_program(void);

static struct sockaddr_in6 meeting_place(void) {
    struct sockaddr_in6 a;
    memset(&a, 0, sizeof a);
    a.sin6_family = AF_INET6;
    a.sin6_addr = in6addr_loopback;
    a.sin6_port = htons(7);
    return a;
}

/* Serves one client at a time, until one comes that says nothing. */
static void *serve(void *listener) {
    for (;;) {
        char buffer[512];
        ssize_t n, said = 0;
        const int fd = kn_accept(*(int *)listener, NULL, NULL);
        if (fd < 0) return NULL;
        while ((n = kn_read(fd, buffer, sizeof buffer)) > 0) {
            said += n;
            if (kn_write(fd, buffer, (size_t)n) != n) break;
        }
        kn_close(fd);
        if (said == 0) return NULL;
    }
}

static int visit(const char *words, char *answer, size_t room) {
    const struct sockaddr_in6 there = meeting_place();
    const size_t length = strlen(words);
    size_t heard = 0;
    ssize_t n;
    const int fd = kn_socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0 || kn_connect(fd, (const struct sockaddr *)&there, sizeof there) != 0) return -1;
    if (kn_write(fd, words, length) != (ssize_t)length) return -1;
    kn_shutdown(fd, SHUT_WR);
    while (heard < room && (n = kn_read(fd, answer + heard, room - heard)) > 0) heard += (size_t)n;
    kn_close(fd);
    return (int)heard;
}

int echo_program(void) {
    const struct sockaddr_in6 here = meeting_place();
    const char *words = "the net in which an angler keeps the catch alive";
    char answer[100];
    pthread_t server;
    int heard;
    int listener = kn_socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || kn_bind(listener, (const struct sockaddr *)&here, sizeof here) != 0 || kn_listen(listener, 4) != 0) {
        perror("listen");
        return 1;
    }
    if (pthread_create(&server, NULL, serve, &listener) != 0) return 1;
    heard = visit(words, answer, sizeof answer);
    printf("%.*s\n", heard < 0 ? 0 : heard, answer);
    visit("", NULL, 0);
    pthread_join(server, NULL);
    kn_close(listener);
    return heard == (int)strlen(words) && memcmp(answer, words, strlen(words)) == 0 ? 0 : 1;
}
