#!/bin/bash
# Elasticsearch 7.1.1 on 127.0.0.1; needs Java 11 or later and Maven. Commands: see ../lifecycle.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
. ../lifecycle.sh

setup() {
  [ ! -e lib/.complete ] || return 0
  rm -rf lib classes
  mkdir -p lib classes
  mvn -q -B -f pom.xml dependency:copy-dependencies -DoutputDirectory="$here/lib" -DincludeScope=runtime
  javac --release 11 -nowarn -cp 'lib/*' -d classes EsNode.java
  touch lib/.complete
}

health() { echo "/_cluster/health?wait_for_status=yellow&timeout=1s"; }

launch() {
  local port=$1 run=$2
  shift 2
  # A test machine's disk may be nearly full, and the heap is small: neither is a reason to refuse requests.
  exec "${JAVA:-java}" ${JAVA_OPTS:--Xms512m -Xmx512m} \
    -XX:+UseSerialGC -Dfile.encoding=UTF-8 -Djava.awt.headless=true \
    -Djava.locale.providers=COMPAT -Djava.io.tmpdir="$run/tmp" \
    -Des.distribution.flavor=oss -Des.distribution.type=tar -Des.networkaddress.cache.ttl=60 \
    -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true -Dio.netty.recycler.maxCapacityPerThread=0 \
    -Dlog4j.configurationFile="$here/log4j2.properties" -Dlog4j2.disable.jmx=true -Dlog4j.shutdownHookEnabled=false \
    --add-opens=java.base/java.io=ALL-UNNAMED --add-opens=java.base/java.nio=ALL-UNNAMED \
    -cp "classes:lib/*" EsNode "$run" "http.port=$port" transport.port=0 \
    cluster.routing.allocation.disk.threshold_enabled=false indices.breaker.total.use_real_memory=false "$@"
}

lifecycle "$@"
