// What the packetdrill tool expects of a library that it loads (`--so_filename`): one exported function that fills a
// table of calls. Each takes `userdata` first and is otherwise the system call of its name; the order is the tool's.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

extern "C" {

struct packetdrill_interface {
    void* userdata;
    void (*free)(void* userdata);
    int (*socket)(void* userdata, int domain, int type, int protocol);
    int (*bind)(void* userdata, int fd, const sockaddr* address, socklen_t length);
    int (*listen)(void* userdata, int fd, int backlog);
    int (*accept)(void* userdata, int fd, sockaddr* address, socklen_t* length);
    int (*connect)(void* userdata, int fd, const sockaddr* address, socklen_t length);
    ssize_t (*read)(void* userdata, int fd, void* data, std::size_t bytes);
    ssize_t (*readv)(void* userdata, int fd, const iovec* parts, int count);
    ssize_t (*recv)(void* userdata, int fd, void* data, std::size_t bytes, int flags);
    ssize_t (*recvfrom)(void* userdata, int fd, void* data, std::size_t bytes, int flags, sockaddr* address,
                        socklen_t* length);
    ssize_t (*recvmsg)(void* userdata, int fd, msghdr* message, int flags);
    ssize_t (*write)(void* userdata, int fd, const void* data, std::size_t bytes);
    ssize_t (*writev)(void* userdata, int fd, const iovec* parts, int count);
    ssize_t (*send)(void* userdata, int fd, const void* data, std::size_t bytes, int flags);
    ssize_t (*sendto)(void* userdata, int fd, const void* data, std::size_t bytes, int flags,
                      const sockaddr* address, socklen_t length);
    ssize_t (*sendmsg)(void* userdata, int fd, const msghdr* message, int flags);
    int (*fcntl)(void* userdata, int fd, int command, ...);
    int (*ioctl)(void* userdata, int fd, unsigned long request, ...);
    int (*close)(void* userdata, int fd);
    int (*shutdown)(void* userdata, int fd, int how);
    int (*getsockopt)(void* userdata, int fd, int level, int name, void* value, socklen_t* length);
    int (*setsockopt)(void* userdata, int fd, int level, int name, const void* value, socklen_t length);
    int (*poll)(void* userdata, pollfd* fds, nfds_t count, int timeout_ms);
    /// A raw IPv6 packet arrives. 0, or -1.
    int (*netdev_send)(void* userdata, const void* packet, std::size_t bytes);
    /// The next packet that leaves. `bytes`: room, then its length, 0 when there will be none; `time_us`: when it left.
    int (*netdev_receive)(void* userdata, void* packet, std::size_t* bytes, long long* time_us);
    int (*usleep)(void* userdata, useconds_t us);
    int (*gettimeofday)(void* userdata, timeval* now, struct timezone* zone);
    int (*epoll_create)(void* userdata, int size);
    int (*epoll_ctl)(void* userdata, int epoll, int operation, int fd, epoll_event* event);
    int (*epoll_wait)(void* userdata, int epoll, epoll_event* events, int count, int timeout_ms);
    int (*pipe)(void* userdata, int ends[2]);
    int (*splice)(void* userdata, int in, loff_t* in_offset, int out, loff_t* out_offset, std::size_t bytes,
                  unsigned flags);
};

/// The library's one exported symbol.
[[gnu::visibility("default")]] void packetdrill_interface_init(const char* flags, packetdrill_interface* calls);

}  // extern "C"
