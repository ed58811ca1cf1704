# The simulator's tests: the same program over many seeds, over those that once failed, twice over the same, and
# against what is wrong on purpose. Under sanitizers, or unoptimised, there is time for fewer.
if(KEEPNET_SANITIZE OR NOT CMAKE_BUILD_TYPE MATCHES "Release")
    set(sim_seeds 150)
else()
    set(sim_seeds 2200)
endif()
set(KEEPNET_SIM_SEEDS ${sim_seeds} CACHE STRING "Seeds that the simulator's test runs")
add_test(NAME "sim: seeds" COMMAND keepnet-sim --seeds ${KEEPNET_SIM_SEEDS} --first 1)
add_test(NAME "sim: regressions" COMMAND keepnet-sim --regressions ${CMAKE_CURRENT_SOURCE_DIR}/sim/regressions.txt)
add_test(NAME "sim: same seed, same trace" COMMAND keepnet-sim --seeds 40 --first 100001 --twice-every 1)
add_test(NAME "sim: the judge is judged" COMMAND keepnet-sim --self-test)
set_tests_properties("sim: seeds" "sim: regressions" "sim: same seed, same trace" "sim: the judge is judged"
    PROPERTIES LABELS sim TIMEOUT 900)
