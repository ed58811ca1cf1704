// fcntl, ioctl, dup, and the persistent handles.
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "posix/call.hpp"
#include "posix/stored_options.hpp"

using namespace keepnet;
using namespace keepnet::posix;

namespace {

/// Bytes that a read would give now.
int input_bytes(Socket& s, int& bytes) {
    const auto info = s.stack().info(s.handle);
    if (!info) return errno_of(info.error());
    if (s.is_tcp()) {
        if (info->phase == TcpPhase::listen) return EINVAL;
        bytes = static_cast<int>(info->receive_queue_bytes);
    } else {
        const auto d = s.stack().peek_datagram(s.handle);
        bytes = d ? static_cast<int>(d->payload.size()) : 0;
    }
    return 0;
}

int output_bytes(Socket& s, bool unsent, int& bytes) {
    const auto info = s.stack().info(s.handle);
    if (!info) return errno_of(info.error());
    if (s.is_tcp() && info->phase == TcpPhase::listen) return EINVAL;
    if (unsent) {
        const auto details = s.stack().tcp_info(s.handle);
        if (!details) return s.is_tcp() ? errno_of(details.error()) : ENOTTY;
        bytes = static_cast<int>(details->notsent_bytes);
        return 0;
    }
    bytes = s.is_tcp() ? static_cast<int>(info->send_queue_bytes) : 0;
    return 0;
}

int set_owner(File& file, int owner);

int control_socket(Socket& s, unsigned long request, void* argument) {
    if (!is_given(argument, sizeof(int))) return EFAULT;
    int& number = *static_cast<int*>(argument);
    switch (request) {
        case FIONBIO:
            s.nonblocking = number != 0;
            return 0;
        case FIOASYNC:
            return number == 0 ? 0 : ENOTTY;
        case FIONREAD:
            return input_bytes(s, number);
        case TIOCOUTQ:
            return output_bytes(s, false, number);
        case SIOCOUTQNSD:
            return output_bytes(s, true, number);
        case SIOCATMARK:
            if (!s.is_tcp()) return EINVAL;
            number = 0;
            return 0;
        default:
            return ENOTTY;
    }
}

// --- interfaces: the stack's own, "kn1" and so on, with the numbers that sin6_scope_id has; none has an IPv4 address ---

constexpr char interface_prefix[] = "kn";

std::string interface_name(InterfaceIndex index) { return interface_prefix + std::to_string(index); }

std::optional<InterfaceInfo> interface_named(const Stack& stack, const char (&name)[IFNAMSIZ]) {
    for (InterfaceIndex i = 0; i <= stack.config().capacity.interfaces; ++i) {
        const auto info = stack.interface_info(i);
        if (info && interface_name(info->index) == std::string_view(name, ::strnlen(name, sizeof name))) return info;
    }
    return std::nullopt;
}

bool is_interface_request(unsigned long request) {
    switch (request) {
        case SIOCGIFNAME:
        case SIOCGIFINDEX:
        case SIOCGIFFLAGS:
        case SIOCGIFMTU:
        case SIOCGIFHWADDR:
        case SIOCGIFMETRIC:
        case SIOCGIFTXQLEN:
        case SIOCGIFMAP:
        case SIOCGIFCONF: return true;
        default: return false;
    }
}

int interface_request(const Stack& stack, unsigned long request, void* argument) {
    if (request == SIOCGIFCONF) {  // a list of IPv4 addresses
        if (!is_given(argument, sizeof(ifconf))) return EFAULT;
        static_cast<ifconf*>(argument)->ifc_len = 0;
        return 0;
    }
    if (!is_given(argument, sizeof(ifreq))) return EFAULT;
    auto& r = *static_cast<ifreq*>(argument);
    if (request == SIOCGIFNAME) {
        const auto info = r.ifr_ifindex > 0 ? stack.interface_info(static_cast<InterfaceIndex>(r.ifr_ifindex)) : std::nullopt;
        if (!info) return ENODEV;
        const std::string name = interface_name(info->index);
        std::memcpy(r.ifr_name, name.c_str(), name.size() + 1);
        return 0;
    }
    const auto info = interface_named(stack, r.ifr_name);
    if (!info) return ENODEV;
    std::memset(&r.ifr_ifru, 0, sizeof r.ifr_ifru);
    switch (request) {
        case SIOCGIFINDEX: r.ifr_ifindex = static_cast<int>(info->index); break;
        case SIOCGIFFLAGS: {
            const bool up = info->has_device && info->link == LinkState::up;
            r.ifr_flags = static_cast<short>(IFF_BROADCAST | IFF_MULTICAST | (info->has_device ? IFF_UP : 0) | (up ? IFF_RUNNING : 0));
            break;
        }
        case SIOCGIFMTU: r.ifr_mtu = info->mtu; break;
        case SIOCGIFHWADDR:
            r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
            std::memcpy(r.ifr_hwaddr.sa_data, info->mac.octets.data(), info->mac.octets.size());
            break;
        default: break;  // metric, length of the queue, memory: none
    }
    return 0;
}

/// A new number for `file`, made by the kernel.
int add_number(Internals& in, int made, const std::shared_ptr<File>& file) {
    if (made < 0 || usable_number(made) < 0) return -1;
    enter(in, made, file);
    return made;
}

int status_flags(const File& file) { return O_RDWR | (file.nonblocking ? O_NONBLOCK : 0) | file.status_flags; }

/// A process, or a group as a negative number; 0: nobody.
int set_owner(File& file, int owner) {
    if (owner == INT_MIN) return fail(EINVAL);
    if (owner != 0 && ::kill(owner, 0) < 0 && errno == ESRCH) return -1;
    file.owner = owner;
    return 0;
}

int own_extended(File& file, int command, f_owner_ex* who) {
    if (!is_given(who, sizeof *who)) return fail(EFAULT);
    if (command == F_SETOWN_EX) {
        if (who->type != F_OWNER_PID && who->type != F_OWNER_PGRP && who->type != F_OWNER_TID) return fail(EINVAL);
        return set_owner(file, who->type == F_OWNER_PGRP ? -who->pid : who->pid);
    }
    who->type = file.owner < 0 ? F_OWNER_PGRP : F_OWNER_PID;
    who->pid = file.owner < 0 ? -file.owner : file.owner;
    return 0;
}

/// A socket is nobody else's: there is no lock that could be in the way.
int lock_record(int command, struct flock* lock) {
    if (!is_given(lock, sizeof *lock)) return fail(EFAULT);
    const bool asks = command == F_GETLK || command == F_OFD_GETLK;
    const bool known = lock->l_type == F_RDLCK || lock->l_type == F_WRLCK || (!asks && lock->l_type == F_UNLCK);
    if (!known || lock->l_whence < SEEK_SET || lock->l_whence > SEEK_END) return fail(EINVAL);
    if ((command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW) && lock->l_pid != 0) return fail(EINVAL);
    if (asks) lock->l_type = F_UNLCK;
    return 0;
}

void put_back(const SavedSocket& saved, Socket& s) {
    s.nonblocking = (saved.flags & 1) != 0;
    s.receive_shut = (saved.flags & 2) != 0;
    s.send_shut = (saved.flags & 4) != 0;
    s.bound_by_user = (saved.flags & 8) != 0;
    s.want_packet_info = (saved.flags & 16) != 0;
    s.want_hop_limit = (saved.flags & 32) != 0;
    s.want_traffic_class = (saved.flags & 64) != 0;
    s.want_queued_bytes = (saved.flags & 128) != 0;
    s.receive_timeout = saved.receive_timeout;
    s.send_timeout = saved.send_timeout;
    s.low_water = saved.low_water;
    s.receive_bytes = saved.receive_bytes;
    s.send_bytes = saved.send_bytes;
    s.linger_s = saved.linger_s;
    s.timestamps = saved.timestamps;
    for (const StoredValue& v : saved.stored) {  // what this version does not know, or would not take, is left out
        const StoredOption* option = find_stored_option(s, v.level, v.name);
        if (option != nullptr) static_cast<void>(store_checked(s, *option, v.value));
    }
}

/// The members of restored sets that this socket is.
void join_sets(Internals& in, Socket& s) {
    for (const auto& [handle, set] : in.epolls) {
        for (const auto& [key, item] : set->items) {
            if (item->socket != nullptr || item->handle != s.handle.raw || item->stack != s.host->number)
                continue;
            item->socket = &s;
            s.watchers.push_back(item.get());
            if ((s.mask & item->events) != 0) queue_item(*item);
        }
    }
}

Dialogue dialogue_of(const SocketInfo& info) {
    if (info.kind == SocketKind::udp)
        return info.remote.port != 0 ? Dialogue::connected : Dialogue::unconnected;
    switch (info.phase) {
        case TcpPhase::syn_sent:
        case TcpPhase::syn_received:
            return Dialogue::connecting;
        case TcpPhase::listen:
            return Dialogue::unconnected;
        default:
            return info.remote.port != 0 ? Dialogue::connected : Dialogue::unconnected;
    }
}

int adopt_socket(Internals& in, SocketHandle handle) {
    kn_stack* host = chosen_stack(in);
    const auto info = host != nullptr ? host->stack->info(handle) : std::unexpected(Error::stale_handle);
    if (!info) return fail(EBADF);
    if (const auto there = in.sockets.find({host, handle.raw}); there != in.sockets.end()) {
        return make_duplicate(in, there->second->descriptors.front());
    }
    const auto saved = in.saved_sockets.find({host->number, handle.raw});
    const bool is_saved = saved != in.saved_sockets.end();
    const int fd = reserve_descriptor(is_saved && (saved->second.fd_flags & FD_CLOEXEC) != 0);
    if (fd < 0) return -1;
    static_cast<void>(host->stack->claim(handle));
    const auto s = enter_socket(in, fd, host, handle, info->kind, false);
    s->dialogue = dialogue_of(*info);
    if (info->kind == SocketKind::udp) s->peer = info->remote;
    if (is_saved) {
        put_back(saved->second, *s);
        in.saved_sockets.erase(saved);
    }
    look(*s, true);
    join_sets(in, *s);
    return fd;
}

int adopt_set(Internals& in, std::uint64_t handle) {
    if (const auto there = in.epolls.find(handle); there != in.epolls.end()) {
        return make_duplicate(in, there->second->descriptors.front());
    }
    const auto saved = in.saved_epolls.find(handle);
    if (saved == in.saved_epolls.end()) return fail(EBADF);
    const int fd = make_set(in, (saved->second.fd_flags & FD_CLOEXEC) != 0 ? EPOLL_CLOEXEC : 0);
    if (fd < 0) return -1;
    auto* e = dynamic_cast<Epoll*>(find_file(in, fd).get());
    in.epolls.erase(e->handle);
    e->handle = handle;
    in.epolls[handle] = e;
    for (const SavedMember& m : saved->second.members) {
        auto item = std::make_unique<EpollItem>();
        item->set = e;
        item->handle = m.handle;
        item->stack = m.stack;
        item->fd = m.fd;
        item->events = m.events;
        item->data = m.data;
        item->restored = true;
        e->items[{m.fd, m.handle}] = std::move(item);
    }
    in.saved_epolls.erase(saved);
    for (const auto& [key, s] : in.sockets) join_sets(in, *s);
    return fd;
}

int duplicate_to(int from, int to, int flags) {
    Call call;
    const auto file = call.file(from);
    const int made = ::dup3(from, to, flags);
    if (made < 0 || !call) return made;
    if (file == nullptr) {
        if (forget(call.in(), to)) call.done();  // the kernel has closed what was there
        return made;
    }
    return add_number(call.in(), made, file);
}

}  // namespace

int keepnet::posix::make_duplicate(Internals& in, int fd) {
    const auto file = find_file(in, fd);
    const int made = ::dup(fd);
    return file == nullptr ? made : add_number(in, made, file);
}

extern "C" {

int kn_fcntl(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void* argument = va_arg(list, void*);
    va_end(list);
    if (!is_ours(fd)) return ::fcntl(fd, command, argument);
    const auto number = static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
    Call call;
    const auto file = call.file(fd);
    if (file == nullptr) {
        call.release();
        return ::fcntl(fd, command, argument);
    }
    switch (command) {
        case F_GETFL: return status_flags(*file);
        case F_SETFL: {
            if ((number & O_DIRECT) != 0) return fail(EINVAL);
            file->nonblocking = (number & O_NONBLOCK) != 0;
            file->status_flags = number & (O_APPEND | O_NOATIME | O_ASYNC);
            return 0;
        }
        case F_GETOWN: return file->owner;
        case F_SETOWN: return set_owner(*file, number);
        case F_GETSIG: return file->owner_signal;
        case F_SETSIG:
            if (number < 0 || number >= NSIG) return fail(EINVAL);
            file->owner_signal = number;
            return 0;
        case F_GETOWN_EX:
        case F_SETOWN_EX: return own_extended(*file, command, static_cast<f_owner_ex*>(argument));
        case F_GETLK:
        case F_SETLK:
        case F_SETLKW:
        case F_OFD_GETLK:
        case F_OFD_SETLK:
        case F_OFD_SETLKW: return lock_record(command, static_cast<struct flock*>(argument));
        case F_GETFD:
        case F_SETFD: return ::fcntl(fd, command, number);
        case F_DUPFD:
        case F_DUPFD_CLOEXEC: return add_number(call.in(), ::fcntl(fd, command, number), file);
        case F_GETLEASE: return F_UNLCK;
        case F_GETPIPE_SZ:
        case F_SETPIPE_SZ: return fail(EBADF);
        case F_NOTIFY: return fail(ENOTDIR);
        default: return fail(EINVAL);
    }
}

int kn_ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void* argument = va_arg(list, void*);
    va_end(list);
    if (!is_ours(fd)) return ::ioctl(fd, request, argument);
    Call call;
    const auto file = call.file(fd);
    auto* s = dynamic_cast<Socket*>(file.get());
    if (s == nullptr || request == FIOCLEX || request == FIONCLEX) {
        call.release();
        return ::ioctl(fd, request, argument);
    }
    const int error = is_interface_request(request) ? interface_request(s->stack(), request, argument)
                                                    : control_socket(*s, request, argument);
    return error == 0 ? 0 : fail(error);
}

off_t kn_lseek(int fd, off_t offset, int whence) {
    if (!is_ours(fd) || current() == nullptr) return ::lseek(fd, offset, whence);
    const bool known = whence >= SEEK_SET && whence <= SEEK_HOLE;
    return fail(known ? ESPIPE : EINVAL);
}

int kn_fstat(int fd, struct stat* about) {
    if (!is_ours(fd)) return ::fstat(fd, about);
    const Call call;
    const auto file = call.file(fd);
    const auto* s = dynamic_cast<const Socket*>(file.get());
    if (s == nullptr) return ::fstat(fd, about);
    if (!is_given(about, sizeof *about)) return fail(EFAULT);
    if (::fstat(fd, about) < 0) return -1;
    about->st_mode = S_IFSOCK | 0777;
    about->st_ino = s->handle.raw;
    about->st_nlink = 1;
    about->st_size = about->st_blocks = 0;
    about->st_blksize = 4096;
    return 0;
}

int kn_dup(int fd) {
    if (!is_ours(fd)) return ::dup(fd);
    const Call call;
    return call ? make_duplicate(call.in(), fd) : ::dup(fd);
}

int kn_dup2(int from, int to) {
    if (from == to || (!is_ours(from) && !is_ours(to))) return ::dup2(from, to);
    return duplicate_to(from, to, 0);
}

int kn_dup3(int from, int to, int flags) {
    if (from == to || (!is_ours(from) && !is_ours(to))) return ::dup3(from, to, flags);
    return duplicate_to(from, to, flags);
}

uint64_t kn_handle(int fd) {
    const Call call;
    const auto file = call.file(fd);
    if (const auto* s = dynamic_cast<const Socket*>(file.get())) return s->handle.raw;
    if (const auto* e = dynamic_cast<const Epoll*>(file.get())) return e->handle;
    static_cast<void>(kernel_answer(fd, ENOTSOCK));
    return 0;
}

int kn_adopt(uint64_t handle) {
    const Call call;
    if (!call) return fail(EBADF);
    return (handle & epoll_handle_slot) == epoll_handle_slot ? adopt_set(call.in(), handle)
                                                             : adopt_socket(call.in(), {handle});
}

int kn_adopt_at(uint64_t handle, int fd) {
    const int made = kn_adopt(handle);
    if (made < 0 || made == fd) return made;
    const int flags = kn_fcntl(made, F_GETFD);
    const int moved = kn_dup2(made, fd);
    const int error = errno;
    kn_close(made);
    if (moved < 0) return fail(error);
    kn_fcntl(fd, F_SETFD, flags);
    return fd;
}

}  // extern "C"
