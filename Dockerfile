# Airflow with this package, built from the checkout with `docker compose build`.
FROM apache/airflow:3.3.2 AS wheel
WORKDIR /tmp/source
COPY pyproject.toml requirements.lock README.md LICENSE NOTICE ./
COPY airflow_provider_kling airflow_provider_kling
COPY dags dags
# The build tool, and packages that are missing in Airflow's image, get the versions of the lock.
RUN pip install --no-cache-dir "$(sed -n 's/^\(hatchling==[^ ]*\).*/\1/p' requirements.lock)" \
    && python -m hatchling build --target wheel --directory /tmp/wheel \
    && sed -n 's/^\(\(av\|pillow\|standardwebhooks\)==.*\) \\$/\1/p' requirements.lock > /tmp/wheel/constraints.txt

FROM apache/airflow:3.3.2
COPY --from=wheel /tmp/wheel /tmp/wheel
# Naming Airflow's version prevents pip from replacing Airflow itself. Compiled byte code halves the time of each start and
# each import. Some files cannot be compiled (templates of other packages), which is not an error.
RUN pip install --no-cache-dir --constraint /tmp/wheel/constraints.txt \
      "apache-airflow==${AIRFLOW_VERSION}" "$(echo /tmp/wheel/*.whl)[emulator]" \
    && { python -m compileall -qq -j 0 \
      "$(python -c 'import pathlib, importlib.util as u; print(pathlib.Path(u.find_spec("airflow").origin).parent.parent)')" \
      || true; } \
    && mkdir -p /opt/airflow/auth /opt/airflow/results
USER 50000
