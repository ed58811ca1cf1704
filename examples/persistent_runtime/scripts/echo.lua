-- Says back what it is told.
--     persistent_runtime --tap keepnet0 --state echo.image scripts/echo.lua [PORT]
local listener = assert(net.listen(tonumber(arg[1]) or 7))

for conn in listener:connections() do
  spawn(function()
    for data in conn:chunks() do conn:send(data) end
    conn:close()
  end)
end
