// The bytes of Runtime::save(): little-endian, "KNPX", a version, then sockets and epoll sets. A list of flags comes with each
// socket, in one word (put_back() in control.cpp reads it). What is read is hostile: all of it is checked before any of it counts.
#include "posix/saved.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>

namespace keepnet::posix {

namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint32_t magic = 0x58'50'4e'4bU;  // "KNPX"
constexpr std::uint32_t version = 2;  // 1: sockets without their sizes and stored options
constexpr std::uint32_t stored_max = 256;
/// Of each kind; a process has fewer descriptors.
constexpr std::uint32_t entries_max = 1U << 20;

class Writer {
  public:
    template <class T>
    void put(T value) {
        const auto at = bytes_.size();
        bytes_.resize(at + sizeof value);
        std::memcpy(bytes_.data() + at, &value, sizeof value);
    }
    std::vector<std::uint8_t> take() { return std::move(bytes_); }

  private:
    std::vector<std::uint8_t> bytes_{};
};

class Reader {
  public:
    explicit Reader(ByteView bytes) : left_(bytes) {}
    template <class T>
    T get() {
        T value{};
        if (left_.size() < sizeof value) {
            ok_ = false;
            return value;
        }
        std::memcpy(&value, left_.data(), sizeof value);
        left_ = left_.subspan(sizeof value);
        return value;
    }
    /// A number of entries of at least `bytes` each, which must be there.
    std::uint32_t count(std::size_t bytes) {
        const auto n = get<std::uint32_t>();
        if (n > entries_max || n * bytes > left_.size()) ok_ = false;
        return ok_ ? n : 0;
    }
    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] bool at_end() const { return left_.empty(); }
    void refuse() { ok_ = false; }

  private:
    ByteView left_;
    bool ok_ = true;
};

std::uint32_t flags_of(const Socket& s) {
    return (s.nonblocking ? 1U : 0U) | (s.receive_shut ? 2U : 0U) | (s.send_shut ? 4U : 0U) | (s.bound_by_user ? 8U : 0U) |
           (s.want_packet_info ? 16U : 0U) | (s.want_hop_limit ? 32U : 0U) | (s.want_traffic_class ? 64U : 0U) |
           (s.want_queued_bytes ? 128U : 0U);
}

int descriptor_flags(const File& file) { return std::max(0, ::fcntl(file.descriptors.front(), F_GETFD)); }

void put_socket(Writer& out, const Socket& s) {
    out.put<std::uint32_t>(s.host->number);
    out.put<std::uint64_t>(s.handle.raw);
    out.put<std::uint32_t>(flags_of(s));
    out.put<std::int32_t>(descriptor_flags(s));
    out.put<std::int64_t>(s.receive_timeout.ns);
    out.put<std::int64_t>(s.send_timeout.ns);
    out.put<std::uint32_t>(s.low_water);
    out.put<std::uint32_t>(s.receive_bytes);
    out.put<std::uint32_t>(s.send_bytes);
    out.put<std::int32_t>(s.linger_s);
    out.put<std::int32_t>(s.timestamps);
    out.put(static_cast<std::uint32_t>(s.stored.size()));
    for (const StoredValue& v : s.stored) {
        out.put<std::int32_t>(v.level);
        out.put<std::int32_t>(v.name);
        out.put<std::int32_t>(v.value);
    }
}

void put_set(Writer& out, const Epoll& e) {
    out.put<std::uint64_t>(e.handle);
    out.put<std::uint32_t>(e.nonblocking ? 1 : 0);
    out.put<std::int32_t>(descriptor_flags(e));
    out.put(static_cast<std::uint32_t>(e.items.size()));
    for (const auto& [key, item] : e.items) {  // the kernel's members end with the process
        out.put<std::uint32_t>(item->socket != nullptr ? item->socket->host->number : item->stack);
        out.put<std::uint64_t>(item->handle);
        out.put<std::int32_t>(item->fd);
        out.put<std::uint32_t>(item->events);
        out.put<std::uint64_t>(item->data);
    }
}

constexpr std::size_t socket_bytes = 4 + 8 + 4 + 4 + 8 + 8 + 4;
constexpr std::size_t set_bytes = 8 + 4 + 4 + 4;
constexpr std::size_t member_bytes = 4 + 8 + 4 + 4 + 8;

bool is_timeout_sane(Duration d) { return d.ns >= 0 && d.ns <= seconds(365LL * 86'400 * 100).ns; }

/// What version 2 added.
void get_options(Reader& in, SavedSocket& s) {
    s.receive_bytes = in.get<std::uint32_t>();
    s.send_bytes = in.get<std::uint32_t>();
    s.linger_s = in.get<std::int32_t>();
    s.timestamps = in.get<std::int32_t>();
    if (s.linger_s < -1 || s.receive_bytes > INT32_MAX || s.send_bytes > INT32_MAX) in.refuse();
    if (s.timestamps != 0 && s.timestamps != SO_TIMESTAMP && s.timestamps != SO_TIMESTAMPNS) in.refuse();
    const std::uint32_t count = in.count(12);
    if (count > stored_max) in.refuse();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        StoredValue v;
        v.level = in.get<std::int32_t>();
        v.name = in.get<std::int32_t>();
        v.value = in.get<std::int32_t>();
        s.stored.push_back(v);
    }
}

void get_socket(Reader& in, std::map<StackAndHandle, SavedSocket>& out, std::uint32_t from_version) {
    const auto stack = in.get<std::uint32_t>();
    const auto handle = in.get<std::uint64_t>();
    SavedSocket s;
    s.flags = in.get<std::uint32_t>();
    s.fd_flags = in.get<std::int32_t>();
    s.receive_timeout.ns = in.get<std::int64_t>();
    s.send_timeout.ns = in.get<std::int64_t>();
    s.low_water = in.get<std::uint32_t>();
    if (from_version >= 2) get_options(in, s);
    if (!is_timeout_sane(s.receive_timeout) || !is_timeout_sane(s.send_timeout) || s.low_water > INT32_MAX) in.refuse();
    if (!out.emplace(StackAndHandle(stack, handle), std::move(s)).second) in.refuse();
}

void get_set(Reader& in, std::map<std::uint64_t, SavedEpoll>& out) {
    const auto handle = in.get<std::uint64_t>();
    if ((handle & epoll_handle_slot) != epoll_handle_slot) in.refuse();
    SavedEpoll e;
    e.flags = in.get<std::uint32_t>();
    e.fd_flags = in.get<std::int32_t>();
    const std::uint32_t members = in.count(member_bytes);
    for (std::uint32_t i = 0; i < members; ++i) {
        SavedMember m;
        m.stack = in.get<std::uint32_t>();
        m.handle = in.get<std::uint64_t>();
        m.fd = in.get<std::int32_t>();
        m.events = in.get<std::uint32_t>();
        m.data = in.get<std::uint64_t>();
        if (m.handle == 0 || m.fd < 0) in.refuse();
        e.members.push_back(m);
    }
    if (!out.emplace(handle, std::move(e)).second) in.refuse();
}

}  // namespace

std::vector<std::uint8_t> save_descriptors(const Internals& in) {
    Writer out;
    out.put(magic);
    out.put(version);
    out.put<std::uint64_t>(in.epoll_count);
    out.put(static_cast<std::uint32_t>(in.sockets.size()));
    for (const auto& [key, s] : in.sockets) put_socket(out, *s);
    out.put(static_cast<std::uint32_t>(in.epolls.size()));
    for (const auto& [handle, e] : in.epolls) put_set(out, *e);
    return out.take();
}

std::expected<void, Error> restore_descriptors(Internals& in, ByteView saved) {
    Reader from(saved);
    if (from.get<std::uint32_t>() != magic) from.refuse();
    const auto from_version = from.get<std::uint32_t>();
    if (from_version < 1 || from_version > version) from.refuse();
    const auto epoll_count = from.get<std::uint64_t>();
    if (epoll_count >= std::uint64_t{1} << 40) from.refuse();
    std::map<StackAndHandle, SavedSocket> sockets;
    std::map<std::uint64_t, SavedEpoll> sets;
    for (std::uint32_t n = from.ok() ? from.count(socket_bytes) : 0; n != 0 && from.ok(); --n) get_socket(from, sockets, from_version);
    for (std::uint32_t n = from.ok() ? from.count(set_bytes) : 0; n != 0 && from.ok(); --n) get_set(from, sets);
    for (const auto& [handle, set] : sets) {
        if (handle >> 24 > epoll_count) from.refuse();
    }
    if (!from.ok() || !from.at_end()) return std::unexpected(Error::invalid_argument);
    in.epoll_count = std::max(in.epoll_count, epoll_count);
    in.saved_sockets = std::move(sockets);
    in.saved_epolls = std::move(sets);
    return {};
}

}  // namespace keepnet::posix
