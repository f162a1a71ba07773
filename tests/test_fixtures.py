"""What the shared fixtures promise to the tests that use them."""

import numpy as np
import pytest
import sqlalchemy as sa

from tests.postgres import fresh_database


def test_a_fresh_database_knows_nothing_of_another(postgres_server):
    with (
        fresh_database(postgres_server) as first,
        fresh_database(postgres_server) as second,
    ):
        one, other = sa.create_engine(first), sa.create_engine(second)
        with one.begin() as connection:
            connection.execute(sa.text("CREATE TABLE answers (correct boolean)"))
        assert sa.inspect(one).get_table_names() == ["answers"]
        assert sa.inspect(other).get_table_names() == []
        one.dispose()
        other.dispose()


def test_a_fresh_database_is_dropped_even_with_a_connection_open(postgres_server):
    with fresh_database(postgres_server) as url:
        engine = sa.create_engine(url)
        connection = engine.connect()
    with pytest.raises(sa.exc.OperationalError, match="terminating connection"):
        connection.execute(sa.text("SELECT 1"))
    connection.close()
    engine.dispose()


def test_the_url_is_one_that_the_server_package_can_use(postgres_url):
    assert postgres_url.startswith("postgresql+psycopg://")
    engine = sa.create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_the_generator_repeats_with_its_seed(rng, seed):
    again = np.random.default_rng(seed)
    np.testing.assert_array_equal(rng.random(8), again.random(8))
