#include "drivers/filter/pcap/pcap_filter.hpp"

#include <pcap/pcap.h>

#include <cstdio>
#include <utility>

#include <keepnet/drivers/frame_checksum.hpp>

namespace keepnet::drivers {

namespace {

/// Ethernet, and the largest IPv6 packet that is no jumbogram: a super-frame is captured whole.
constexpr int snap_bytes = 14 + 40 + 65535;

timeval to_timeval(Instant t) {
    // With PCAP_TSTAMP_PRECISION_NANO the field called tv_usec holds nanoseconds.
    const std::int64_t ns = t.ns < 0 ? 0 : t.ns;
    timeval out{};
    out.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
    out.tv_usec = static_cast<suseconds_t>(ns % 1'000'000'000);
    return out;
}

}  // namespace

std::expected<std::unique_ptr<PcapFilter>, std::string> PcapFilter::open(LinkDevice& inner,
                                                                         PcapConfig config) {
    pcap* const handle =
        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, snap_bytes, PCAP_TSTAMP_PRECISION_NANO);
    if (handle == nullptr) return std::unexpected("cannot write the capture " + config.path + ": no memory");
    pcap_dumper* const dumper = pcap_dump_open(handle, config.path.c_str());
    if (dumper == nullptr) {
        std::string reason = std::string("cannot write the capture ") + pcap_geterr(handle);
        pcap_close(handle);
        return std::unexpected(std::move(reason));
    }
    std::unique_ptr<PcapFilter> filter(new PcapFilter(inner, std::move(config), handle, dumper));
    // The file's header is only buffered so far: a full disk shows here.
    if (!filter->flush())
        return std::unexpected("cannot write the capture " + filter->config_.path + ": write error");
    return filter;
}

PcapFilter::PcapFilter(LinkDevice& inner, PcapConfig config, pcap* handle, pcap_dumper* dumper)
    : inner_(inner), config_(std::move(config)), handle_(handle), dumper_(dumper) {}

PcapFilter::~PcapFilter() {
    pcap_dump_close(dumper_);
    pcap_close(handle_);
}

bool PcapFilter::flush() {
    // pcap_dump() itself does not say whether it could write.
    if (pcap_dump_flush(dumper_) != 0 || std::ferror(pcap_dump_file(dumper_)) != 0) failed_ = true;
    return !failed_;
}

void PcapFilter::write(ByteView frame) {
    if (failed_) return;
    pcap_pkthdr header{};
    header.ts = to_timeval(now_);
    header.caplen = header.len = static_cast<bpf_u_int32>(frame.size());
    pcap_dump(reinterpret_cast<u_char*>(dumper_), &header, frame.data());
    ++written_;
}

void PcapFilter::finish_burst() {
    if (config_.flush_each_burst) flush();
}

std::size_t PcapFilter::receive(FramePool& pool, std::span<RxFrame> frames) {
    const std::size_t n = inner_.receive(pool, frames);
    if (n == 0) return 0;
    if (config_.clock) now_ = config_.clock();
    for (const RxFrame& frame : frames.first(n)) {
        write(pool.bytes(frame.buffer).subspan(frame.offset, frame.length));
    }
    finish_burst();
    return n;
}

std::size_t PcapFilter::transmit(std::span<const TxFrame> frames) {
    const std::size_t n = inner_.transmit(frames);
    if (n == 0) return 0;
    if (config_.clock) now_ = config_.clock();
    for (const TxFrame& frame : frames.first(n)) {
        joined_.assign(frame.header.begin(), frame.header.end());
        for (const ByteView slice : frame.payload) joined_.insert(joined_.end(), slice.begin(), slice.end());
        if (frame.needs_checksum) complete_checksum(joined_, frame.checksum_start, frame.checksum_offset);
        write(joined_);
    }
    finish_burst();
    return n;
}

}  // namespace keepnet::drivers
