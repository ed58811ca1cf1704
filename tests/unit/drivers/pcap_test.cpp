// The file is read back with libpcap, and once byte by byte: it must be what Wireshark opens.
#include <pcap/pcap.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <keepnet/drivers/filter/pcap/pcap_filter.hpp>
#include <keepnet/drivers/memory/memory_link.hpp>

#include "base/checksum.hpp"
#include "unit/drivers/frame_pool.hpp"
#include "wire/bytes.hpp"

using namespace keepnet;
using namespace keepnet::test;
using drivers::MemoryLink;
using drivers::PcapFilter;

namespace {

struct Captured {
    std::int64_t ns;
    Bytes frame;

    friend bool operator==(const Captured&, const Captured&) = default;
};

/// Its own file, gone at the end of the test.
struct TemporaryFile {
    std::string path =
        (std::filesystem::temp_directory_path() / ("keepnet-" + std::to_string(::getpid()) + ".pcap"))
            .string();

    TemporaryFile() { std::filesystem::remove(path); }
    ~TemporaryFile() { std::filesystem::remove(path); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
};

std::vector<Captured> read_back(const std::string& path) {
    char error[PCAP_ERRBUF_SIZE];
    pcap_t* file = pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, error);
    INFO(error);
    REQUIRE(file != nullptr);
    CHECK(pcap_datalink(file) == DLT_EN10MB);
    std::vector<Captured> out;
    pcap_pkthdr* header = nullptr;
    const u_char* data = nullptr;
    int got = 0;
    while ((got = pcap_next_ex(file, &header, &data)) == 1) {
        CHECK(header->len == header->caplen);
        out.push_back(
            {header->ts.tv_sec * 1'000'000'000 + header->ts.tv_usec, Bytes(data, data + header->caplen)});
    }
    CHECK(got == PCAP_ERROR_BREAK);  // the end, and nothing torn before it
    pcap_close(file);
    return out;
}

std::unique_ptr<PcapFilter> capture(LinkDevice& inner, drivers::PcapConfig config) {
    auto filter = PcapFilter::open(inner, std::move(config));
    INFO((filter ? std::string() : filter.error()));
    REQUIRE(filter.has_value());
    return std::move(*filter);
}

}  // namespace

TEST_CASE("pcap filter: both directions, in order, with nanoseconds") {
    TemporaryFile file;
    MemoryLink<4> link;
    HeapPool pool(8);
    {
        auto filter = capture(link.a(), {.path = file.path});
        const Bytes header = hex("0102030405060708090a0b0c0d0e");
        const Bytes payload = hex("aabb");
        const ByteView slices[] = {payload, payload};
        const TxFrame tx{.header = header, .payload = slices};
        filter->set_time({1'700'000'000'123'456'789});
        CHECK(filter->transmit({&tx, 1}) == 1);
        const Bytes answer(60, 7);
        const TxFrame back{.header = answer};
        CHECK(link.b().transmit({&back, 1}) == 1);
        filter->set_time({1'700'000'000'123'456'790});
        CHECK(drain(*filter, pool) == std::vector<Bytes>{answer});
        CHECK(filter->frames_written() == 2);

        // Already readable while the capture goes on.
        const std::vector<Captured> expected = {
            {1'700'000'000'123'456'789, header + payload + payload},
            {1'700'000'000'123'456'790, answer},
        };
        CHECK(read_back(file.path) == expected);
        CHECK(drain(link.b(), pool) == std::vector<Bytes>{header + payload + payload});
    }
    std::ifstream in(file.path, std::ios::binary);
    const Bytes raw{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    REQUIRE(raw.size() == 24 + 16 + 18 + 16 + 60);
    CHECK(first(raw, 4) == hex("4d3cb2a1"));  // the magic number of nanoseconds, little-endian
    CHECK(raw[20] == 1);                      // LINKTYPE_ETHERNET
}

TEST_CASE("pcap filter: what the device did not take has not passed") {
    TemporaryFile file;
    MemoryLink<2> link;
    auto filter = capture(link.a(), {.path = file.path});
    const Bytes frame(60, 1);
    const TxFrame tx[] = {{.header = frame}, {.header = frame}, {.header = frame}};
    CHECK(filter->transmit(tx) == 2);
    CHECK(filter->transmit(tx) == 0);
    CHECK(read_back(file.path).size() == 2);
}

TEST_CASE("pcap filter: the embedder's clock, one reading a burst") {
    TemporaryFile file;
    MemoryLink<4> link;
    std::int64_t now = 5;
    auto filter = capture(link.a(), {.path = file.path, .clock = [&now] { return Instant{now++}; }});
    const Bytes frame(60, 1);
    const TxFrame tx[] = {{.header = frame}, {.header = frame}};
    CHECK(filter->transmit(tx) == 2);
    CHECK(filter->transmit({tx, 1}) == 1);
    CHECK(read_back(file.path) == std::vector<Captured>{{5, frame}, {5, frame}, {6, frame}});
}

TEST_CASE("pcap filter: a time before the origin is the origin") {
    TemporaryFile file;
    MemoryLink<4> link;
    auto filter = capture(link.a(), {.path = file.path});
    filter->set_time({-1});
    const Bytes frame(60, 1);
    const TxFrame tx{.header = frame};
    filter->transmit({&tx, 1});
    CHECK(read_back(file.path) == std::vector<Captured>{{0, frame}});
}

TEST_CASE("pcap filter: without a flush for each burst, flush() writes") {
    TemporaryFile file;
    MemoryLink<4> link;
    auto filter = capture(link.a(), {.path = file.path, .clock = {}, .flush_each_burst = false});
    const Bytes frame(60, 1);
    const TxFrame tx{.header = frame};
    filter->transmit({&tx, 1});
    CHECK(read_back(file.path).empty());
    CHECK(filter->flush());
    CHECK(read_back(file.path).size() == 1);
}

TEST_CASE("pcap filter: a checksum left to the device is complete in the file, untouched on its way") {
    TemporaryFile file;
    LinkCapabilities offload = drivers::memory_capabilities(1);
    offload.tx_checksum = offload.rx_checksum_verified = true;
    MemoryLink<1> link(offload, offload);
    HeapPool pool(1);
    auto filter = capture(link.a(), {.path = file.path});
    Bytes frame = Bytes(54, 0) + hex("1234 5678 000b 0000 616263");
    wire::store_u16(frame, 60, pseudo_header(ip("::1"), ip("::2"), 11, 17).sum());
    const TxFrame tx{.header = frame, .needs_checksum = true, .checksum_start = 54, .checksum_offset = 6};
    CHECK(filter->transmit({&tx, 1}) == 1);
    CHECK(drain(link.b(), pool) == std::vector<Bytes>{frame});
    const auto captured = read_back(file.path);
    REQUIRE(captured.size() == 1);
    CHECK(transport_checksum_ok(ip("::1"), ip("::2"), 17, ByteView(captured[0].frame).subspan(54)));
}

TEST_CASE("pcap filter: a super-frame is captured whole") {
    TemporaryFile file;
    struct TakesAll final : LinkDevice {
        [[nodiscard]] LinkCapabilities capabilities() const override { return {}; }
        [[nodiscard]] LinkState link_state() const override { return LinkState::up; }
        std::size_t receive(FramePool&, std::span<RxFrame>) override { return 0; }
        std::size_t transmit(std::span<const TxFrame> frames) override { return frames.size(); }
    } inner;
    auto filter = capture(inner, {.path = file.path});
    const Bytes frame(14 + 40 + 65535, 3);
    const TxFrame tx{.header = frame, .segment_bytes = 1440};
    CHECK(filter->transmit({&tx, 1}) == 1);
    const auto captured = read_back(file.path);
    REQUIRE(captured.size() == 1);
    CHECK(captured[0].frame == frame);
}

TEST_CASE("pcap filter: everything else is the device's own") {
    TemporaryFile file;
    struct Remembers final : LinkDevice {
        DeviceState kept{};
        [[nodiscard]] LinkCapabilities capabilities() const override { return {.mtu = 1400}; }
        [[nodiscard]] LinkState link_state() const override { return LinkState::down; }
        std::size_t receive(FramePool&, std::span<RxFrame>) override { return 0; }
        std::size_t transmit(std::span<const TxFrame>) override { return 0; }
        [[nodiscard]] DeviceState state() const override { return kept; }
        void restore(const DeviceState& s) override { kept = s; }
    } inner;
    auto filter = capture(inner, {.path = file.path});
    CHECK(filter->capabilities().mtu == 1400);
    CHECK(filter->link_state() == LinkState::down);
    DeviceState s;
    s.length = 3;
    filter->restore(s);
    CHECK(inner.kept.length == 3);
    CHECK(filter->state().length == 3);
    CHECK(read_back(file.path).empty());
}

TEST_CASE("pcap filter: a file that cannot be written is an error of one line that names it") {
    MemoryLink<1> link;
    for (const char* path : {"/nonexistent/keepnet.pcap", "/dev/full"}) {
        const auto filter = PcapFilter::open(link.a(), {.path = path});
        REQUIRE_FALSE(filter.has_value());
        CAPTURE(filter.error());
        CHECK(filter.error().find(path) != std::string::npos);
        CHECK(filter.error().find('\n') == std::string::npos);
    }
}
