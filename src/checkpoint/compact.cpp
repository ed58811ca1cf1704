// A base and its increments -> one base, from bytes to bytes: no arena, no stack.
#include <algorithm>
#include <utility>
#include <vector>

#include "checkpoint/codec_tcp.hpp"
#include "checkpoint/decode.hpp"
#include "checkpoint/layer_reader.hpp"
#include "checkpoint/snapshot_writer.hpp"

namespace keepnet::checkpoint {
namespace {

using Done = std::expected<void, Failure>;

/// Every object that has the last word, as the value it is.
struct Values {
    struct Entry {
        SnapshotWriter::Object object;
        std::size_t at;    ///< offset in raw
        ByteView payload;
    };
    std::array<std::vector<Entry>, state_kinds> entries{};
    std::vector<std::byte> raw{};
    std::vector<std::uint32_t> used{};  ///< by buffer: 1 + how much is written; 0: not listed

    template <class T>
    [[nodiscard]] T get(const Entry& entry) const {
        T value;
        std::memcpy(static_cast<void*>(&value), raw.data() + entry.at, sizeof(T));
        return value;
    }
};

struct ValueCollector {
    Values& values;
    const Merge& merge;
    const Layer& layer;
    std::size_t number;
    bool is_last;
    In in;
    BlobReader blobs{};

    template <class Reader, class T, class M>
    void object(Reader& reader, std::type_identity<T>, StateKind kind, M m, ByteView payload) {
        const std::uint32_t index = m.getIndex();
        if (!merge.wins(number, kind, index)) return;
        const CutNumber cut = layer.header.record.cut;
        const CutNumber stamp = m.getStamp() == 0 ? cut : layer.header.stamp_base + m.getStamp();
        T value{};
        transfer(in, value, m);
        if (stamp > cut || in.bad) return reader.fail("a field out of range");
        const std::size_t at = values.raw.size();
        values.raw.resize((at + sizeof(T) + 7) & ~std::size_t{7});
        std::memcpy(values.raw.data() + at, &value, sizeof(T));
        values.entries[static_cast<std::size_t>(kind) - 1].push_back(
            {{kind, index, m.getGeneration(), stamp}, at, payload});
    }
    void freed(StateKind, std::uint32_t) {}
    template <class Reader>
    void buffer(Reader&, std::uint32_t buffer, std::uint16_t bytes) {
        if (values.used.size() <= buffer) values.used.resize(buffer + 1);
        values.used[buffer] = std::uint32_t{bytes} + 1;
    }
    template <class Reader>
    void blob(Reader& reader, schema::Blob::Reader m) {
        if (is_last) blobs.take(reader, m);
    }
};

template <class T>
Done write_object(SnapshotWriter& writer, const Values& values, const Values::Entry& entry) {
    const T value = values.get<T>(entry);
    ByteView rest = entry.payload;
    bool fits = true;
    for_each_slice(value, [&](const Slice& slice, std::size_t) {
        fits = fits && slice.buffer < values.used.size() && values.used[slice.buffer] != 0 &&
               slice.length <= rest.size();
        if (fits) rest = rest.subspan(slice.length);
    });
    if (!fits || !rest.empty()) return damaged("a slice without its bytes or its buffer");
    rest = entry.payload;
    std::array<BufferIndex, pending_slices> buffers{};
    for_each_slice(value, [&](const Slice& slice, std::size_t i) { buffers[i] = slice.buffer; });
    writer.add(
        entry.object, value,
        [&](const Slice& slice) { return std::exchange(rest, rest.subspan(slice.length)).first(slice.length); },
        [&](std::size_t i) { return static_cast<std::uint16_t>(values.used[buffers[i]] - 1); });
    return {};
}

Done write_objects(SnapshotWriter& writer, Values& values) {
    for (auto& entries : values.entries) {
        std::ranges::sort(entries, {}, [](const Values::Entry& e) { return e.object.index; });
        for (const Values::Entry& entry : entries) {
            Done ok{};
            if (writer.must_put(entry.object.kind)) ok = writer.put_batch();
            if (!ok) return ok;
            with_type(entry.object.kind,
                      [&]<class T>(std::type_identity<T>) { ok = write_object<T>(writer, values, entry); });
            if (!ok) return ok;
        }
    }
    return writer.put_batch();
}

Done write_blobs(SnapshotWriter& writer, const std::vector<Blob>& blobs) {
    for (const Blob& blob : blobs) {
        std::size_t at = 0;
        do {
            const std::size_t n = std::min(blob_part_bytes, blob.bytes.size() - at);
            if (auto ok = writer.put_blob_part(blob, at, n); !ok) return ok;
            at += n;
        } while (at < blob.bytes.size());
    }
    return {};
}

}  // namespace

Done Decoder::write(Sink& sink, std::optional<Instant> relative_to) const {
    Values values;
    std::vector<Blob> blobs;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const Layer& layer = layers_[i];
        const bool is_last = i + 1 == layers_.size();
        ValueCollector collector{values, merge_, layer, i, is_last, In{layer.header.record.taken}};
        Done read = LayerReader(layer, collector).run();
        if (read && is_last && !collector.blobs.is_whole(layer.blobs)) read = damaged("the trailer counts other blobs");
        if (!read) return std::unexpected(in_layer(read.error(), i, layers_.size()));
        if (is_last) blobs = std::move(collector.blobs.blobs);
    }
    HeaderFacts facts = header();
    facts.record.since = 0;
    facts.record.since_id = 0;
    if (relative_to) facts.record.taken = *relative_to;
    SnapshotWriter writer(facts, sink);
    if (auto ok = writer.begin(); !ok) return ok;
    if (auto ok = write_objects(writer, values); !ok) return ok;
    if (auto ok = writer.put_buffers(); !ok) return ok;
    if (auto ok = write_blobs(writer, blobs); !ok) return ok;
    return writer.end(blobs.size());
}

Done compact(std::span<const ByteView> chain, Sink& sink) {
    const auto decoder = Decoder::open(chain);
    if (!decoder) return std::unexpected(decoder.error());
    return guarded([&] { return decoder->write(sink); });
}

}  // namespace keepnet::checkpoint
