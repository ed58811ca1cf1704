// The process's descriptors and what they name. Everything here is touched with Internals::mutex held; there
// is one, for all stacks: a call that blocks sleeps on a Sleeper of its own (sleep.hpp), which is in the list
// of each file that can end its wait.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <poll.h>

#include <keepnet/posix.h>
#include <keepnet/posix_runtime.hpp>

struct kn_stack {
    keepnet::Stack* stack = nullptr;
    std::uint32_t number = 0;  ///< in the order of Runtime::add()
};

namespace keepnet::posix {

struct Internals;
struct Epoll;

class Sleeper;

/// What descriptors name: an open file description.
struct File : std::enable_shared_from_this<File> {
    File() = default;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    virtual ~File() = default;

    bool nonblocking = false;
    int status_flags = 0;            ///< O_APPEND and others that fcntl() keeps, and that change nothing here
    int owner = 0;                   ///< F_SETOWN: a process, or a group as a negative number; with O_ASYNC it gets a signal
    int owner_signal = 0;            ///< F_SETSIG; 0: SIGIO
    std::vector<int> descriptors{};  ///< kernel numbers that name it, oldest first
    std::vector<Sleeper*> sleepers{};
    void wake_all();
};

/// Linux's sock->state: what connect() has been told.
enum class Dialogue : std::uint8_t { unconnected, connecting, connected };

struct EpollItem {
    Epoll* set = nullptr;
    struct Socket* socket = nullptr;  ///< null: not adopted yet
    std::uint64_t handle = 0;         ///< of the socket
    std::uint32_t stack = 0;          ///< not adopted yet: the number of its stack
    int fd = -1;
    std::uint32_t events = 0;  ///< with EPOLLERR and EPOLLHUP, until EPOLLONESHOT has been
    std::uint64_t data = 0;
    bool queued = false;
    bool restored = false;  ///< `fd` is of the life before
};

/// An option that is only stored, and was set.
struct StoredValue {
    std::int32_t level = 0;
    std::int32_t name = 0;
    std::int32_t value = 0;
};

struct Socket final : File {
    kn_stack* host = nullptr;
    SocketHandle handle{};
    SocketKind kind = SocketKind::invalid;
    Dialogue dialogue = Dialogue::unconnected;
    bool bound_by_user = false;
    bool receive_shut = false;       ///< shutdown(SHUT_RD)
    bool send_shut = false;          ///< shutdown(SHUT_WR)
    Endpoint peer{};                 ///< UDP: connected to; port 0: not
    Error pending = Error::invalid;  ///< taken from the stack, not reported yet

    Duration receive_timeout{};  ///< 0: none
    Duration send_timeout{};
    std::uint32_t low_water = 1;      ///< SO_RCVLOWAT
    std::uint32_t receive_bytes = 0;  ///< UDP: SO_RCVBUF as set; 0: never
    std::uint32_t send_bytes = 0;     ///< UDP: SO_SNDBUF as set
    bool want_packet_info = false;    ///< IPV6_RECVPKTINFO
    bool want_hop_limit = false;
    bool want_traffic_class = false;
    bool want_queued_bytes = false;  ///< TCP_INQ
    std::int32_t timestamps = 0;     ///< SO_TIMESTAMP or SO_TIMESTAMPNS, whichever it gives; 0: none
    std::int32_t linger_s = -1;      ///< UDP: stored, without effect
    std::vector<StoredValue> stored{};  ///< options that are set and change nothing (stored_options.hpp)

    // What was last looked at, to tell news.
    std::uint32_t mask = 0;     ///< EPOLL bits
    std::uint64_t arrived = 0;  ///< TCP: bytes ever received in order
    std::uint32_t waiting = 0;  ///< listener: accept queue
    bool signalled = false;     ///< the number is readable
    std::vector<EpollItem*> watchers{};

    [[nodiscard]] Stack& stack() const { return *host->stack; }
    [[nodiscard]] bool is_tcp() const { return kind == SocketKind::tcp; }
};

struct Epoll final : File {
    std::uint64_t handle = 0;
    std::map<std::pair<int, std::uint64_t>, std::unique_ptr<EpollItem>> items{};  ///< ours, by (fd, handle)
    std::list<EpollItem*> ready{};
    int signal = -1;  ///< an eventfd in the kernel's set: readable while `ready` is not empty
    bool signalled = false;
    std::size_t kernel_items =
        0;  ///< added and not deleted: there may be fewer, for the kernel drops what was closed
};

/// A number that names an epoll set, and no socket: slot 2^24 - 1 does not exist.
inline constexpr std::uint64_t epoll_handle_slot = 0xff'ffff;

/// Handles are a stack's own: (number of the stack, handle).
using StackAndHandle = std::pair<std::uint32_t, std::uint64_t>;

/// From Runtime::restore(), until it is adopted.
struct SavedSocket {
    std::uint32_t flags = 0;
    std::int32_t fd_flags = 0;
    Duration receive_timeout{};
    Duration send_timeout{};
    std::uint32_t low_water = 1;
    std::uint32_t receive_bytes = 0;
    std::uint32_t send_bytes = 0;
    std::int32_t linger_s = -1;
    std::int32_t timestamps = 0;
    std::vector<StoredValue> stored{};
};
struct SavedMember {
    std::uint64_t handle = 0;
    std::uint32_t stack = 0;
    std::int32_t fd = -1;
    std::uint32_t events = 0;
    std::uint64_t data = 0;
};
struct SavedEpoll {
    std::uint32_t flags = 0;
    std::int32_t fd_flags = 0;
    std::vector<SavedMember> members{};
};

struct Internals {
    explicit Internals(Clock& c);
    Internals(const Internals&) = delete;
    Internals& operator=(const Internals&) = delete;
    ~Internals();

    Mutex mutex{};
    Clock& clock;
    int process = 0;    ///< whose it is
    int readable = -1;  ///< an eventfd that always is: in the epoll set behind each number that has news
    std::vector<std::unique_ptr<kn_stack>> stacks{};
    std::vector<std::shared_ptr<File>> files{};  ///< by descriptor
    std::map<std::pair<kn_stack*, std::uint64_t>, Socket*> sockets{};
    std::map<std::uint64_t, Epoll*> epolls{};
    std::map<StackAndHandle, SavedSocket> saved_sockets{};
    std::map<std::uint64_t, SavedEpoll> saved_epolls{};
    std::uint64_t epoll_count = 0;
    std::function<void(Stack&, SocketHandle)> on_ready{};
    std::function<void(Stack&, Instant)> on_commit_wanted{};
    bool turning = false;
};

/// The runtime of this process; null: none. What a child inherited by fork(), or is lent by vfork(), is not
/// its own.
Internals* current();

/// Numbers below this can be ours: Linux's fs.nr_open as it comes.
inline constexpr int descriptors_max = 1 << 20;
/// One bit for each number that is ours, read without the lock: calls on descriptors of the kernel take none,
/// so they are as safe in a signal handler as the kernel's.
extern std::array<std::atomic<std::uint64_t>, descriptors_max / 64> our_numbers;
inline bool is_ours(int fd) {
    if (fd < 0 || fd >= descriptors_max) return false;
    const auto at = static_cast<std::size_t>(fd);
    return (our_numbers[at / 64].load(std::memory_order_relaxed) >> at % 64 & 1) != 0;
}
/// The stack of this thread's new sockets; null: none.
kn_stack* chosen_stack(Internals& in);

Instant turn(Internals& in);
Instant next_deadline(const Internals& in);

// --- descriptors ---

/// Null: not ours.
std::shared_ptr<File> find_file(const Internals& in, int fd);
std::shared_ptr<Socket> find_socket(const Internals& in, int fd);
/// `fd`, fresh from the kernel, names `file`. What was closed behind our back under that number is forgotten,
/// and if that ends it the stacks get their turn: its last segments leave.
void enter(Internals& in, int fd, const std::shared_ptr<File>& file);
/// The number names nothing of ours any more; the last one ends the file, and is told by true. Does not close
/// `fd`.
bool forget(Internals& in, int fd);
/// A number for a socket to come. -1 and errno.
int reserve_descriptor(bool close_on_exec);
/// `made`, a number that the kernel has just given, or -1: one that we can use. -1 and errno.
int usable_number(int made);
/// `fd`, reserved, names the stack's socket from now on, which is closed when there is no descriptor for it
/// any more.
std::shared_ptr<Socket> enter_socket(Internals& in, int fd, kn_stack* host, SocketHandle handle,
                                     SocketKind kind, bool nonblocking);
/// One more number for what `fd` names. -1 and errno.
int make_duplicate(Internals& in, int fd);
/// An empty epoll set. -1 and errno.
int make_set(Internals& in, int flags);
/// The socket is that one of its stack from now on, in epoll sets too.
void take_handle(Internals& in, Socket& s, SocketHandle handle);
/// The socket is another one of its stack from now on: the same options, and the same local endpoint if the
/// user chose it. Linux can connect a socket again after a failure; a keepnet socket cannot. `reset`: the old
/// one's peer is.
Error renew(Internals& in, Socket& s, bool reset = false);

// --- readiness ---

/// What poll() says of it now, EPOLL bits (equal to POLL bits).
std::uint32_t poll_mask(const Socket& s);
/// Looks at the socket, and tells epoll sets, sleepers and the number what is new. `told`: the stack said so.
void look(Socket& s, bool told);
/// The socket's state changed: everything that it is ready for is news (Linux's sk_state_change()).
void announce(Socket& s);
void queue_item(EpollItem& item);
void update_signal(Epoll& e);
void drop_items_of(Socket& s);

}  // namespace keepnet::posix
