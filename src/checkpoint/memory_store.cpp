#include <keepnet/checkpoint.hpp>

#include "checkpoint/format.hpp"

namespace keepnet::checkpoint {
namespace {

class MemoryWriter final : public Writer {
  public:
    explicit MemoryWriter(MemoryStore& store) : store_(&store) {}
    std::expected<void, Failure> write(ByteView bytes) override {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        return {};
    }
    std::expected<void, Failure> commit() override {
        store_->snapshot = std::move(bytes_);
        return {};
    }

  private:
    MemoryStore* store_;
    std::vector<std::uint8_t> bytes_{};
};

}  // namespace

std::expected<void, Failure> VectorSink::write(ByteView more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
}

std::expected<std::unique_ptr<Writer>, Failure> MemoryStore::begin() { return std::make_unique<MemoryWriter>(*this); }

std::expected<std::vector<std::uint8_t>, Failure> MemoryStore::load() {
    if (!snapshot) return refuse(Code::not_found, "there is no snapshot");
    return *snapshot;
}

}  // namespace keepnet::checkpoint
