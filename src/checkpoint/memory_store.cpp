#include <utility>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/chain_link.hpp"

namespace keepnet::checkpoint {
namespace {

class MemoryWriter final : public Writer {
  public:
    MemoryWriter(MemoryStore& store, std::optional<StoreFacts> follows) : store_(&store), follows_(follows) {}
    std::expected<void, Failure> write(ByteView bytes) override {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        return {};
    }
    std::expected<void, Failure> commit() override {
        if (follows_) {
            if (auto ok = check_follows(*follows_, bytes_); !ok) return ok;
            store_->increments.push_back(std::move(bytes_));
        } else {
            store_->snapshot = std::move(bytes_);
            store_->increments.clear();
        }
        return {};
    }

  private:
    MemoryStore* store_;
    std::optional<StoreFacts> follows_;  ///< an increment on this
    std::vector<std::uint8_t> bytes_{};
};

}  // namespace

std::expected<void, Failure> VectorSink::write(ByteView more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
}

std::expected<std::unique_ptr<Writer>, Failure> MemoryStore::begin() {
    return std::make_unique<MemoryWriter>(*this, std::nullopt);
}

std::expected<std::unique_ptr<Writer>, Failure> MemoryStore::begin_increment() {
    const auto last = facts();
    if (!last) return refuse(Code::not_found, "there is no snapshot that an increment could follow");
    return std::make_unique<MemoryWriter>(*this, last);
}

std::expected<std::vector<std::uint8_t>, Failure> MemoryStore::load() {
    if (!snapshot) return refuse(Code::not_found, "there is no snapshot");
    if (increments.empty()) return *snapshot;
    std::vector<ByteView> chain{*snapshot};
    chain.insert(chain.end(), increments.begin(), increments.end());
    VectorSink sink;
    if (auto ok = checkpoint::compact(chain, sink); !ok) return std::unexpected(ok.error());
    return std::move(sink.bytes);
}

std::expected<std::vector<std::vector<std::uint8_t>>, Failure> MemoryStore::load_chain() {
    if (!snapshot) return refuse(Code::not_found, "there is no snapshot");
    std::vector<std::vector<std::uint8_t>> chain;
    chain.push_back(*snapshot);
    chain.insert(chain.end(), increments.begin(), increments.end());
    return chain;
}

std::optional<StoreFacts> MemoryStore::facts() {
    if (!snapshot) return std::nullopt;
    const auto last = link_of(increments.empty() ? *snapshot : increments.back());
    if (!last) return std::nullopt;
    StoreFacts facts{last->cut, last->id, static_cast<std::uint32_t>(increments.size()), snapshot->size(), 0};
    for (const auto& increment : increments) facts.increment_bytes += increment.size();
    return facts;
}

}  // namespace keepnet::checkpoint
