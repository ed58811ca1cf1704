// Linux, Documentation/networking/tuntap.rst; struct virtio_net_hdr: virtio 1.2, 5.1.6.
#include "drivers/tap/tap.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <keepnet/config.hpp>

namespace keepnet::drivers {

namespace {

constexpr std::uint16_t ethernet_bytes = 14;
/// The IPv6 header behind those starts at a multiple of 16.
constexpr std::uint16_t rx_offset = 2;
constexpr std::uint16_t mtu_max = packet_buffer_bytes - rx_offset - ethernet_bytes - 1;
/// An IPv6 payload length holds 65,535 bytes, of which the TCP header takes at most 60.
constexpr std::uint32_t tso_bytes_max = 65'535 - 60;
constexpr std::size_t slices_max = 62;

/// struct virtio_net_hdr in the kernel's byte order (linux/virtio_net.h is no C++: it has a field called
/// class).
struct VirtioHeader {
    std::uint8_t flags = 0;
    std::uint8_t gso_type = 0;
    std::uint16_t hdr_len = 0;
    std::uint16_t gso_size = 0;
    std::uint16_t csum_start = 0;
    std::uint16_t csum_offset = 0;
};
static_assert(sizeof(VirtioHeader) == 10);

constexpr std::uint8_t needs_csum = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
constexpr std::uint8_t data_valid = 2;  // VIRTIO_NET_HDR_F_DATA_VALID
constexpr std::uint8_t gso_tcpv6 = 4;   // VIRTIO_NET_HDR_GSO_TCPV6

/// Closes what it still owns.
class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  private:
    int fd_;
};

std::unexpected<TapFailure> fail(TapError error, std::string message) {
    return std::unexpected(TapFailure{error, std::move(message)});
}

std::string because(int system_error) { return std::string(": ") + std::strerror(system_error); }

ifreq request_for(const std::string& name) {
    ifreq request{};
    name.copy(request.ifr_name, sizeof request.ifr_name - 1);
    return request;
}

bool is_name(const std::string& name) {
    return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
           std::none_of(name.begin(), name.end(),
                        [](char c) { return c == '/' || c == ':' || c == '%' || c <= ' '; });
}

std::unexpected<TapFailure> no_node(const std::string& node, int e) {
    switch (e) {
        case ENOENT:
        case ENODEV:
        case ENXIO:
            return fail(TapError::no_device_node, "there is no " + node + " (is the tun module loaded?)");
        case EACCES:
        case EPERM:
            return fail(TapError::no_permission, "no permission to open " + node);
        default:
            return fail(TapError::system, "cannot open " + node + because(e));
    }
}

std::unexpected<TapFailure> not_attached(const std::string& name, int e) {
    switch (e) {
        case EPERM:
        case EACCES:
            return fail(TapError::no_permission,
                        "no permission to attach to " + name + " (run as root, or give CAP_NET_ADMIN)");
        case EBUSY:
            return fail(TapError::busy, "interface " + name + " is in use by another program");
        case EINVAL:
            if (::if_nametoindex(name.c_str()) != 0) {
                return fail(TapError::name_taken, "interface " + name + " exists and is not a TAP interface");
            }
            [[fallthrough]];
        default:
            return fail(TapError::system, "cannot attach to " + name + because(e));
    }
}

/// The name of the interface in `fd`, as a virtio_net_hdr TAP without packet information.
std::expected<void, TapFailure> attach(int fd, const TapConfig& config) {
    ifreq request = request_for(config.name);
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    if (::ioctl(fd, TUNSETIFF, &request) < 0) return not_attached(config.name, errno);
    // A persistent interface keeps what its last user had chosen.
    const int header_bytes = sizeof(VirtioHeader);
    // TUN_F_TSO6 belongs here as soon as a received super-frame has somewhere to go.
    const unsigned long offloads = config.offload ? TUN_F_CSUM : 0;
    if (::ioctl(fd, TUNSETVNETHDRSZ, &header_bytes) < 0 || ::ioctl(fd, TUNSETOFFLOAD, offloads) < 0) {
        return fail(TapError::system, "cannot set up " + config.name + because(errno));
    }
    if (config.persistent && ::ioctl(fd, TUNSETPERSIST, 1L) < 0) {
        return fail(TapError::system, "cannot make " + config.name + " persistent" + because(errno));
    }
    return {};
}

std::expected<void, TapFailure> bring_up(int control, const std::string& name) {
    ifreq request = request_for(name);
    if (::ioctl(control, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
        if (::ioctl(control, SIOCSIFFLAGS, &request) == 0) return {};
    }
    return fail(errno == EPERM ? TapError::no_permission : TapError::system,
                "cannot set " + name + " up" + because(errno));
}

std::expected<LinkCapabilities, TapFailure> capabilities_of(int control, const TapConfig& config) {
    ifreq request = request_for(config.name);
    if (::ioctl(control, SIOCGIFMTU, &request) < 0) {
        return fail(TapError::system, "cannot read the MTU of " + config.name + because(errno));
    }
    LinkCapabilities c;
    c.mtu = static_cast<std::uint16_t>(std::clamp<int>(request.ifr_mtu, 0, mtu_max));
    if (c.mtu < 1280)
        return fail(TapError::bad_config, "the MTU of " + config.name + " is below the 1280 of IPv6");
    c.mac = config.mac;
    c.tx_checksum = c.rx_checksum_verified = config.offload;
    c.tso_max_bytes = config.offload ? tso_bytes_max : 0;
    return c;
}

iovec to_iovec(ByteView bytes) { return {const_cast<std::uint8_t*>(bytes.data()), bytes.size()}; }

VirtioHeader header_for(const TxFrame& frame) {
    VirtioHeader h{};
    if (frame.needs_checksum) {
        h.flags = needs_csum;
        h.csum_start = frame.checksum_start;
        h.csum_offset = frame.checksum_offset;
    }
    if (frame.segment_bytes != 0) {
        h.gso_type = gso_tcpv6;
        h.hdr_len = static_cast<std::uint16_t>(frame.header.size());
        h.gso_size = frame.segment_bytes;
    }
    return h;
}

}  // namespace

std::expected<std::unique_ptr<TapDevice>, TapFailure> TapDevice::open(const TapConfig& config) {
    if (!is_name(config.name))
        return fail(TapError::bad_config, "'" + config.name + "' is no interface name");
    if (config.mac.is_multicast() || config.mac.is_unspecified()) {
        return fail(TapError::bad_config,
                    "the Ethernet address for " + config.name + " is not that of one host");
    }
    if (!config.create && ::if_nametoindex(config.name.c_str()) == 0) {
        return fail(TapError::no_such_interface, "there is no interface " + config.name);
    }
    Descriptor tap(::open(config.device_node.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (tap.get() < 0) return no_node(config.device_node, errno);
    if (const auto ok = attach(tap.get(), config); !ok) return std::unexpected(ok.error());
    Descriptor control(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (control.get() < 0) return fail(TapError::system, "cannot open an IPv6 socket" + because(errno));
    if (config.bring_up) {
        if (const auto ok = drivers::bring_up(control.get(), config.name); !ok)
            return std::unexpected(ok.error());
    }
    const auto capabilities = capabilities_of(control.get(), config);
    if (!capabilities) return std::unexpected(capabilities.error());
    return std::unique_ptr<TapDevice>(
        new TapDevice(tap.release(), control.release(), config.name, *capabilities));
}

TapDevice::TapDevice(int fd, int control, std::string name, const LinkCapabilities& capabilities)
    : fd_(fd), control_(control), name_(std::move(name)), capabilities_(capabilities) {}

TapDevice::~TapDevice() {
    ::close(fd_);
    ::close(control_);
}

LinkState TapDevice::link_state() const {
    // The kernel says by EIO that an interface went down, but says nothing when it comes up again: ask while
    // down.
    if (!up_ && failed_ == 0) {
        ifreq request = request_for(name_);
        up_ = ::ioctl(control_, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
    }
    return up_ ? LinkState::up : LinkState::down;
}

std::size_t TapDevice::receive(FramePool& pool, std::span<RxFrame> frames) {
    std::size_t n = 0;
    // Frames that are dropped count too: one call reads no more than it was asked for.
    for (std::size_t reads = 0; reads < frames.size() && failed_ == 0; ++reads) {
        const BufferIndex buffer = pool.allocate();
        if (buffer == no_buffer) break;
        const MutableBytes room = pool.bytes(buffer).subspan(rx_offset);
        VirtioHeader header{};
        const iovec parts[] = {{&header, sizeof header}, {room.data(), room.size()}};
        ssize_t got = 0;
        do {
            got = ::readv(fd_, parts, 2);
        } while (got < 0 && errno == EINTR);
        if (got < static_cast<ssize_t>(sizeof header)) {
            pool.release(buffer);
            if (got < 0 && errno != EAGAIN && errno != EIO) {
                failed_ = errno;
                up_ = false;
            }
            break;
        }
        const std::size_t length = static_cast<std::size_t>(got) - sizeof header;
        if (length == room.size()) {
            // The kernel cuts what does not fit, and does not say so.
            pool.release(buffer);
            ++counters_.rx_too_long;
            continue;
        }
        // A checksum that the kernel left incomplete never crossed a wire.
        frames[n++] = {buffer, rx_offset, static_cast<std::uint16_t>(length),
                       capabilities_.rx_checksum_verified && (header.flags & (needs_csum | data_valid)) != 0};
    }
    counters_.received += n;
    return n;
}

TapDevice::Sent TapDevice::send(const TxFrame& frame) {
    VirtioHeader header = header_for(frame);
    std::array<iovec, slices_max + 2> parts;
    parts[0] = {&header, sizeof header};
    parts[1] = to_iovec(frame.header);
    std::size_t count = 2;
    std::vector<std::uint8_t> joined;
    if (frame.payload.size() <= slices_max) {
        for (const ByteView slice : frame.payload) parts[count++] = to_iovec(slice);
    } else {
        for (const ByteView slice : frame.payload) joined.insert(joined.end(), slice.begin(), slice.end());
        parts[count++] = to_iovec(joined);
    }
    ssize_t put = 0;
    do {
        put = ::writev(fd_, parts.data(), static_cast<int>(count));
    } while (put < 0 && errno == EINTR);
    if (put >= 0) {
        ++counters_.transmitted;
        up_ = true;
        return Sent::yes;
    }
    switch (errno) {
        case EAGAIN:
        case ENOBUFS:
        case ENOMEM:
            return Sent::no_room;
        case EIO:
            // As with an unplugged cable: kept, these frames would only be stale when it is up again.
            up_ = false;
            ++counters_.tx_link_down;
            return Sent::yes;
        case EBADFD:
            failed_ = errno;
            up_ = false;
            ++counters_.tx_link_down;
            return Sent::yes;
        default:
            ++counters_.tx_refused;
            return Sent::yes;
    }
}

std::size_t TapDevice::transmit(std::span<const TxFrame> frames) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
        if (send(frames[i]) == Sent::no_room) return i;
    }
    return frames.size();
}

}  // namespace keepnet::drivers
