// Wraps a device and writes every frame that passes it, in both directions, to a capture file that Wireshark
// opens. A frame is written when it has passed: a received one when the stack gets it, a sent one when the
// device took it. Checksums that were left to the device are complete in the file.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <keepnet/link_device.hpp>
#include <keepnet/time.hpp>

struct pcap;
struct pcap_dumper;

namespace keepnet::drivers {

struct PcapConfig {
    std::string path{};  ///< an existing file is replaced
    /// The time of a frame, as nanoseconds since 1970 if Wireshark is to show a date. Without it: set_time().
    std::function<Instant()> clock{};
    bool flush_each_burst = true;  ///< so that the file is whole when the process is killed
};

class PcapFilter final : public LinkDevice {
  public:
    /// `inner` outlives the filter. The error is one line that names the file and the reason.
    static std::expected<std::unique_ptr<PcapFilter>, std::string> open(LinkDevice& inner, PcapConfig config);
    PcapFilter(const PcapFilter&) = delete;
    PcapFilter& operator=(const PcapFilter&) = delete;
    ~PcapFilter();

    [[nodiscard]] LinkCapabilities capabilities() const override { return inner_.capabilities(); }
    [[nodiscard]] LinkState link_state() const override { return inner_.link_state(); }
    std::size_t receive(FramePool& pool, std::span<RxFrame> frames) override;
    std::size_t transmit(std::span<const TxFrame> frames) override;
    [[nodiscard]] DeviceState state() const override { return inner_.state(); }
    void restore(const DeviceState& state) override { inner_.restore(state); }

    /// The time of the frames from now on, when there is no clock.
    void set_time(Instant now) { now_ = now; }
    /// False when the file could not be written; the device works on, the capture does not.
    bool flush();
    [[nodiscard]] std::uint64_t frames_written() const { return written_; }

  private:
    PcapFilter(LinkDevice& inner, PcapConfig config, pcap* handle, pcap_dumper* dumper);

    void write(ByteView frame);
    void finish_burst();

    LinkDevice& inner_;
    PcapConfig config_;
    pcap* handle_;
    pcap_dumper* dumper_;
    std::vector<std::uint8_t> joined_{};  // a sent frame in one piece
    Instant now_{};
    std::uint64_t written_ = 0;
    bool failed_ = false;
};

}  // namespace keepnet::drivers
