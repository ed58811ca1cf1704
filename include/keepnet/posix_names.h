/* Gives the calls of a C program to keepnet: socket() is kn_socket(), and so on for every call of <keepnet/posix.h>. Include it
 * in each file of the program, behind the system's headers; or leave the files as they are:
 *
 *     cc -include keepnet/posix_names.h -c program.c
 *
 * It includes the system's headers that declare these names itself. It is for C: in C++ the names are also those of members.
 * Descriptors of the kernel are served by the kernel under the same names. What the C library calls by itself (stdio on a
 * descriptor from fdopen(), getaddrinfo()) is not renamed. */
#ifndef KEEPNET_POSIX_NAMES_H
#define KEEPNET_POSIX_NAMES_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <keepnet/posix.h>

#undef socket
#define socket kn_socket
#undef bind
#define bind kn_bind
#undef listen
#define listen kn_listen
#undef accept
#define accept kn_accept
#undef accept4
#define accept4 kn_accept4
#undef connect
#define connect kn_connect
#undef shutdown
#define shutdown kn_shutdown
#undef close
#define close kn_close
#undef read
#define read kn_read
#undef readv
#define readv kn_readv
#undef recv
#define recv kn_recv
#undef recvfrom
#define recvfrom kn_recvfrom
#undef recvmsg
#define recvmsg kn_recvmsg
#undef recvmmsg
#define recvmmsg kn_recvmmsg
#undef write
#define write kn_write
#undef writev
#define writev kn_writev
#undef send
#define send kn_send
#undef sendto
#define sendto kn_sendto
#undef sendmsg
#define sendmsg kn_sendmsg
#undef sendmmsg
#define sendmmsg kn_sendmmsg
#undef sendfile
#define sendfile kn_sendfile
#undef getsockname
#define getsockname kn_getsockname
#undef getpeername
#define getpeername kn_getpeername
#undef getsockopt
#define getsockopt kn_getsockopt
#undef setsockopt
#define setsockopt kn_setsockopt
#undef fcntl
#define fcntl kn_fcntl
#undef ioctl
#define ioctl kn_ioctl
#undef lseek
#define lseek kn_lseek
#undef fstat
#define fstat kn_fstat
#undef dup
#define dup kn_dup
#undef dup2
#define dup2 kn_dup2
#undef dup3
#define dup3 kn_dup3
#undef poll
#define poll kn_poll
#undef ppoll
#define ppoll kn_ppoll
#undef select
#define select kn_select
#undef pselect
#define pselect kn_pselect
#undef epoll_create
#define epoll_create kn_epoll_create
#undef epoll_create1
#define epoll_create1 kn_epoll_create1
#undef epoll_ctl
#define epoll_ctl kn_epoll_ctl
#undef epoll_wait
#define epoll_wait kn_epoll_wait
#undef epoll_pwait
#define epoll_pwait kn_epoll_pwait
#undef epoll_pwait2
#define epoll_pwait2 kn_epoll_pwait2

#endif
