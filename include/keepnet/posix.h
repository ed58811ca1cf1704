/* The sockets interface of POSIX and Linux on a keepnet stack: each kn_ function is the call of that name, with Linux's
 * argument checks, semantics and errno values. docs/posix.md lists what differs.
 *
 *     int fd = kn_socket(AF_INET6, SOCK_STREAM, 0);
 *     kn_connect(fd, (struct sockaddr *)&address, sizeof address);
 *     kn_write(fd, "hello", 5);
 *     kn_close(fd);
 *
 * C linkage, usable from C and C++, from any number of threads. A C++ program gives the process its stack, and says who
 * polls it: <keepnet/posix_runtime.hpp>.
 *
 * Descriptors are the kernel's: each socket reserves one that is readable when the socket is, so numbers never
 * collide and a foreign event loop can watch one for input. Close them with kn_close. kn_poll, kn_select and
 * kn_epoll_wait take descriptors of the kernel in the same set. Every call on a descriptor of the kernel is the kernel's, and
 * takes no lock.
 *
 * A write to a connection that is over fails with EPIPE and raises no signal: MSG_NOSIGNAL is always on. */
#ifndef KEEPNET_POSIX_H
#define KEEPNET_POSIX_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A stack that a keepnet::posix::Runtime drives. */
struct kn_stack;
struct mmsghdr;
struct stat;

/* Sockets that this thread makes from now on are of `stack`; NULL: of the runtime's first one, as at the start.
 * Fails: EINVAL (not of the runtime). */
int kn_attach(struct kn_stack *stack);

/* AF_INET6 alone (EAFNOSUPPORT); SOCK_STREAM and SOCK_DGRAM, with SOCK_NONBLOCK and SOCK_CLOEXEC. ENETDOWN: no stack. */
int kn_socket(int domain, int type, int protocol);
int kn_bind(int fd, const struct sockaddr *address, socklen_t length);
int kn_listen(int fd, int backlog);
int kn_accept(int fd, struct sockaddr *address, socklen_t *length);
int kn_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int kn_connect(int fd, const struct sockaddr *address, socklen_t length);
int kn_shutdown(int fd, int how);
int kn_close(int fd);

ssize_t kn_read(int fd, void *buffer, size_t length);
ssize_t kn_readv(int fd, const struct iovec *parts, int count);
ssize_t kn_recv(int fd, void *buffer, size_t length, int flags);
ssize_t kn_recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address, socklen_t *address_length);
ssize_t kn_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t kn_write(int fd, const void *buffer, size_t length);
ssize_t kn_writev(int fd, const struct iovec *parts, int count);
ssize_t kn_send(int fd, const void *buffer, size_t length, int flags);
ssize_t kn_sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address,
                  socklen_t address_length);
ssize_t kn_sendmsg(int fd, const struct msghdr *message, int flags);

/* Many messages a call: how many were moved; -1 only where the first one failed. */
int kn_recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout);
int kn_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
/* From a file, at its own position or at *offset, which is moved on. */
ssize_t kn_sendfile(int to, int from, off_t *offset, size_t count);

int kn_getsockname(int fd, struct sockaddr *address, socklen_t *length);
int kn_getpeername(int fd, struct sockaddr *address, socklen_t *length);
int kn_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int kn_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int kn_fcntl(int fd, int command, ...);
int kn_ioctl(int fd, unsigned long request, ...);
off_t kn_lseek(int fd, off_t offset, int whence);
int kn_fstat(int fd, struct stat *about);
int kn_dup(int fd);
int kn_dup2(int from, int to);
int kn_dup3(int from, int to, int flags);

int kn_poll(struct pollfd *descriptors, nfds_t count, int timeout_ms);
/* The mask of signals is set and put back as one step with the sleep. */
int kn_ppoll(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout, const sigset_t *signals);
int kn_select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout);
int kn_pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, const struct timespec *timeout,
               const sigset_t *signals);
int kn_epoll_create(int size);
int kn_epoll_create1(int flags);
int kn_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int kn_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms);
int kn_epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout_ms, const sigset_t *signals);
int kn_epoll_pwait2(int epoll, struct epoll_event *events, int count, const struct timespec *timeout,
                    const sigset_t *signals);

/* The persistent handle of a socket or an epoll set: the same 64-bit number names the same one after any number of restarts.
 * Of a socket it is the SocketHandle of its stack, and kn_adopt looks for it in the thread's stack (kn_attach).
 * 0 and errno on failure: EBADF, ENOTSOCK. */
uint64_t kn_handle(int fd);
/* A descriptor for what `handle` names: after a restore, or once more. Its flags, and an epoll set's members, are those of the
 * snapshot (Runtime::save). Fails: EBADF (names nothing), EMFILE. */
int kn_adopt(uint64_t handle);
/* The same, under the number `fd`, which closes what was open there (dup2). Fails: EBADF (also: `fd` out of range). */
int kn_adopt_at(uint64_t handle, int fd);

#ifdef __cplusplus
}
#endif

#endif
