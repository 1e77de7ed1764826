// hwloc: cores, caches and NUMA nodes of the host. Its components that open vendors' libraries stay off.
#include "tools/probe/probe.h"

#include <stdio.h>

#include "bn_config.h"

#if BN_HAVE_HWLOC
#include <hwloc.h>

static unsigned count(hwloc_topology_t topology, hwloc_obj_type_t type)
{
    int n = hwloc_get_nbobjs_by_type(topology, type);
    return n > 0 ? (unsigned)n : 0;
}

static void record_caches(hwloc_topology_t topology)
{
    static const hwloc_obj_type_t types[] = {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE,
                                             HWLOC_OBJ_L4CACHE};
    for (unsigned level = 1; level <= 4; level++) {
        char text[64];
        hwloc_obj_t first = hwloc_get_obj_by_type(topology, types[level - 1], 0);
        if (!first)
            continue;
        snprintf(text, sizeof text, "%u %u %llu", level, count(topology, types[level - 1]),
                 (unsigned long long)first->attr->cache.size);
        record_text("cache", text);
    }
}

void probe_hwloc(void)
{
    static const char *const off[] = {"opencl", "gl", "cuda", "nvml", "rsmi", "levelzero"};
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) != 0) {
        record_state(BN_STATE_FAULTED, NULL, "hwloc cannot start");
        return;
    }
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, off[i]);
    if (hwloc_topology_load(topology) != 0) {
        record_state(BN_STATE_FAULTED, NULL, "hwloc cannot read the machine's topology");
        return;
    }
    record_start("device");
    record_text("kind", "cpu");
    record_number("packages", count(topology, HWLOC_OBJ_PACKAGE));
    record_number("cores", count(topology, HWLOC_OBJ_CORE));
    record_number("threads", count(topology, HWLOC_OBJ_PU));
    record_number("numa", count(topology, HWLOC_OBJ_NUMANODE));
    record_caches(topology);
    record_end();
}

#else

void probe_hwloc(void)
{
    record_state(BN_STATE_MISSING_LIBRARY, "build with hwloc (package libhwloc-dev)", "this build has no hwloc");
}

#endif
