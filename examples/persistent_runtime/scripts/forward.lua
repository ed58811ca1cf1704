-- Passes TCP connections and DNS queries on to another host.
--     persistent_runtime --tap keepnet0 --state forward.image scripts/forward.lua ADDRESS PORT TARGET-PORT DNS-PORT
local target, port, target_port, dns_port = arg[1], tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4])

local function pump(from, to)
  for data in from:chunks() do
    if not to:send(data) then break end
  end
  to:finish()
end

local function forward(client)
  local server = net.connect(target, target_port)
  if server then
    local done = channel()
    spawn(function()
      pump(client, server)
      done:put(true)
    end)
    pump(server, client)
    done:get()
    server:close()
  end
  client:close()
end

local function resolve()
  local socket = assert(net.udp(53))
  while true do
    local query, address, from = socket:receive()
    if query then
      spawn(function()
        local upstream <close> = assert(net.udp())
        upstream:send(query, target, dns_port)
        local answer = upstream:receive(5)
        if answer then socket:send(answer, address, from) end
      end)
    end
  end
end

spawn(resolve)
for client in assert(net.listen(port)):connections() do spawn(forward, client) end
