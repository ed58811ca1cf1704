// The memory of one transfer: the caller's parts, checked.
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include <netinet/in.h>

#include "posix/call.hpp"

namespace keepnet::posix {

/// Parts of a message as iovec says, up to transfer_bytes_max in all.
class Parts {
  public:
    /// 0, or an errno value.
    [[nodiscard]] int take(const iovec* parts, std::size_t count);

    [[nodiscard]] std::size_t size() const { return size_; }
    /// Is a part that holds bytes not the program's memory? (looked at when there is something to copy, as
    /// the kernel does)
    [[nodiscard]] bool is_bad() const { return bad_; }
    /// Copies to the parts, behind the first `offset` bytes; returns how many had room.
    std::size_t put(std::size_t offset, ByteView from) const;
    /// The bytes behind the first `offset`, as views.
    [[nodiscard]] std::vector<ByteView> views(std::size_t offset) const;
    /// The stretch of memory that holds byte `offset`, to its end.
    [[nodiscard]] MutableBytes stretch(std::size_t offset) const;

  private:
    [[nodiscard]] std::span<const MutableBytes> parts() const {
        return many_.empty() ? std::span(few_).first(count_) : std::span(many_);
    }

    // Most calls have few, and take no memory: nothing is lost when siglongjmp() leaves them.
    std::array<MutableBytes, 8> few_{};
    std::size_t count_ = 0;
    std::vector<MutableBytes> many_{};
    std::size_t size_ = 0;
    bool bad_ = false;
};

ssize_t receive_stream(Call& call, Socket& s, const Parts& into, int flags);
ssize_t receive_datagram(Call& call, Socket& s, const Parts& into, msghdr& message, int flags);
ssize_t send_stream(Call& call, Socket& s, const Parts& from, int flags);
ssize_t send_datagram(Call& call, Socket& s, const Parts& from, const msghdr& message, int flags);

/// Adds one control message behind the `used` bytes, or says that it had no room.
void add_control(msghdr& message, std::size_t& used, std::size_t room, int level, int type, const void* value,
                 std::size_t length);
/// SO_TIMESTAMP: the time of the reading, for the stack keeps none of the arrival.
void add_timestamp(const Socket& s, msghdr& message, std::size_t& used, std::size_t room);
/// Control messages: what is asked for with IPV6_RECV..., and what the sender says of one datagram.
void give_control(const Socket& s, const ReceivedDatagram& d, msghdr& message);
[[nodiscard]] int take_control(const msghdr& message, SendDatagram& how, InterfaceIndex& interface);

}  // namespace keepnet::posix
