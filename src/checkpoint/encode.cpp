#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include <kj/exception.h>

#include "checkpoint/snapshot_writer.hpp"
#include "durability/cut.hpp"
#include "stack/core.hpp"

namespace keepnet::checkpoint {
namespace {

using durability::CutReader;
using durability::Image;
using Done = std::expected<void, Failure>;

/// What must be known of the stack but is not in the sweep. Taken on the polling thread.
HeaderFacts facts_of(const Core& core, CutId cut, const EncodeOptions& options) {
    HeaderFacts facts;
    facts.record = durability::record_of(core.sweep_queue, cut);
    facts.epoch = core.world.stack().restarts;
    facts.capacity = core.world.config().capacity;
    facts.wall_clock_ns = options.wall_clock_ns;
    const auto& records = core.sweep_queue.records();
    for (std::size_t i = 0; i < records.size(); ++i) {
        if (facts.record.earlier == 0 || records[i].cut != facts.record.earlier) continue;
        facts.earlier = records[i];
        facts.earlier_place = static_cast<std::uint8_t>(i);
    }
    return facts;
}

}  // namespace

struct Encoder::Work {
    enum class Stage { header, objects, freed, buffers, blobs, trailer, over };

    Work(Core& core, CutId cut, EncodeOptions&& given, Sink& sink)
        : reader(core.world, core.sweep_queue, cut), options(std::move(given)), facts(facts_of(core, cut, options)),
          writer(facts, sink) {
        is_known = facts.record.cut == cut && cut != 0 && core.world.cuts().unread == cut;
    }

    std::expected<Progress, Failure> step() {
        switch (stage) {
            case Stage::header:
                if (!is_known) return refuse(Code::unknown_cut, "no such cut waits to be read");
                return then(writer.begin(), Stage::objects);
            case Stage::objects: return objects();
            case Stage::freed: return then(writer.put_freed(), Stage::buffers);
            case Stage::buffers: return then(writer.put_buffers(), Stage::blobs);
            case Stage::blobs:
                if (blob == options.blobs.size()) return then({}, Stage::trailer);
                return then(put_blob_part(), Stage::blobs);
            case Stage::trailer: {
                if (auto ok = writer.end(options.blobs.size()); !ok) return std::unexpected(ok.error());
                stage = Stage::over;
                return Progress::done;
            }
            case Stage::over: break;
        }
        return refuse(Code::unknown_cut, "this cut has been encoded already");
    }
    std::expected<Progress, Failure> then(const Done& done, Stage next) {
        if (!done) return std::unexpected(done.error());
        stage = next;
        return Progress::more;
    }
    std::expected<Progress, Failure> objects() {
        Image image;
        for (;;) {
            switch (reader.next(image)) {
                case CutReader::Got::nothing_yet: return Progress::waiting;
                case CutReader::Got::end: {
                    const auto ok = writer.put_batch();
                    reader.finish();
                    return then(ok, facts.record.since != 0 ? Stage::freed : Stage::buffers);
                }
                case CutReader::Got::image: break;
                case CutReader::Got::overrun:
                case CutReader::Got::invalid:
                    reader.finish();
                    return refuse(Code::cut_overrun, "more changed behind the cut than its shadows hold");
            }
            if (writer.must_put(image.header.kind)) return then(writer.put_batch(), stage);
            take(image);
        }
    }
    void take(const Image& image) {
        const auto& h = image.header;
        if ((h.flags & Image::freed) != 0) {
            writer.add_freed(h.kind, h.index);
        } else {
            with_type(h.kind, [&]<class T>(std::type_identity<T>) {
                T object;
                std::memcpy(static_cast<void*>(&object), image.bytes.data(), sizeof(T));
                writer.add(
                    {h.kind, h.index, h.generation, h.stamp}, object,
                    [&](const Slice& slice) { return reader.view(slice); }, [&](std::size_t i) { return h.used[i]; });
            });
        }
        reader.pop();
    }
    Done put_blob_part() {
        const Blob& b = options.blobs[blob];
        const std::size_t n = std::min(blob_part_bytes, b.bytes.size() - blob_at);
        auto ok = writer.put_blob_part(b, blob_at, n);
        blob_at += n;
        if (blob_at == b.bytes.size()) {
            blob_at = 0;
            ++blob;
        }
        return ok;
    }

    CutReader reader;
    EncodeOptions options;
    HeaderFacts facts;
    SnapshotWriter writer;
    bool is_known = false;
    Stage stage = Stage::header;
    std::size_t blob = 0;
    std::size_t blob_at = 0;
};

Encoder::Encoder(Stack& stack, CutId cut, EncodeOptions options, Sink& sink)
    : work_(std::make_unique<Work>(stack.core(), cut, std::move(options), sink)) {}
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;
Encoder::~Encoder() = default;

std::expected<Encoder::Progress, Failure> Encoder::step() {
    try {
        return work_->step();
    } catch (const kj::Exception& e) {
        return refuse(Code::input_output, std::string("cannot encode: ") + e.getDescription().cStr());
    }
}

std::expected<void, Failure> encode(Stack& stack, CutId cut, EncodeOptions options, Sink& sink) {
    Encoder encoder(stack, cut, std::move(options), sink);
    for (bool is_swept = false;;) {
        const auto progress = encoder.step();
        if (!progress) return std::unexpected(progress.error());
        if (*progress == Encoder::Progress::done) return {};
        if (*progress != Encoder::Progress::waiting) continue;
        if (is_swept) return refuse(Code::unknown_cut, "this cut is no longer there to be read");
        is_swept = !stack.sweep();
    }
}

}  // namespace keepnet::checkpoint
