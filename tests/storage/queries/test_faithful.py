"""The SQL that runs is written from the parse tree: it answers as the text itself would."""

import json

import duckdb
import pytest

TABLE = (
    "CREATE TABLE t AS SELECT i, i % 3 AS g, 'n' || i AS s, CASE WHEN i % 4 = 0 THEN NULL ELSE i * 1.5 END AS v, "
    "TIMESTAMP '2026-01-01' + to_hours(i::INT) AS ts, [i, i + 1, i + 2] AS l, {'a': i, 'b': 'x'} AS st "
    "FROM range(12) r(i)"
)

QUERIES = [
    "select 10-(5-2), (10-5)-2, 2**3**2, -2**2, 7//2, -7%3, 1.0/3, 'a'||'b'||1",
    "select * from t order by all desc",
    "select g, sum(v) from t group by all order by all",
    "select g, i from t order by g desc nulls last, i limit 3 offset 2",
    "select * from t where s not in ('n1','n2') and i not between 3 and 5",
    "select s from t where s like 'n1%' escape '\\' and s not like '%0'",
    "select s ilike 'N1', s similar to 'n[12]', s ~ '^n' from t",
    "select v is distinct from 3.0, v is not distinct from null from t",
    "select case g when 0 then 'a' when 1 then 'b' end, case when v is null then 1 else 2 end from t",
    "select 'it''s', \"s\", e'\\n', 'ü€' from t limit 1",
    "select count(*) filter (where v>3), sum(distinct g), string_agg(s, ',' order by i desc) from t",
    "select i, sum(v) over (partition by g order by i rows between 1 preceding and current row exclude "
    "current row) from t order by i",
    "select i, avg(v) over w, first_value(v ignore nulls) over w from t window w as (partition by g order "
    "by i range between unbounded preceding and unbounded following) order by i",
    "select i, row_number() over (order by v desc nulls last, i) rn from t qualify rn<=3 order by rn",
    "select g, count(*) from t group by grouping sets ((g),()) order by 1 nulls first",
    "select distinct on (g) g, i from t order by g, i desc",
    "select a.i,b.i from t a left join t b on a.i=b.i+6 order by 1",
    "select a.i,b.i from t a full join t b on a.i=b.i+6 order by 1,2",
    "select a.i from t a anti join t b on a.i=b.i+6 order by 1",
    "select a.i from t a semi join t b using (i) where i<3 order by 1",
    "select t.i, x.m from t, lateral (select max(v) m from t b where b.g=t.g) x order by 1",
    "select i from t where v > any(select v from t where i<2) order by 1",
    "select i from t where v >= all(select v from t where v is not null) ",
    "select i,(select count(*) from t b where b.i<a.i) from t a order by 1",
    "select l[1], l[2:3], l[-1], st.a, st['b'] from t order by i limit 3",
    "select try_cast(s as int), cast(v as decimal(10,2)), i::varchar from t order by i",
    "select ts + interval 1 month, ts - interval '2 days 3 hours', interval 90 minute, "
    "date_trunc('day',ts), extract(hour from ts), ts::date from t order by i limit 4",
    "select ts at time zone 'UTC' is not null from t limit 1",
    "select i from t where not (g=1 or g=2) and (i>3 or i<1) order by 1",
    "select * exclude (l,st) replace (i+1 as i) from t order by i limit 2",
    "select columns('^[ig]$') from t order by 1,2 limit 3",
    "select unnest(l) u, i from t order by i,u limit 5",
    "with recursive a(n) as (select 1 union all select n+1 from a where n<5) select sum(n) from a",
    "with a as (select 1 x), b as (select x+1 y from a) select * from a, b",
    "(select 1 union select 2) except select 2",
    "select 1 intersect all select 1",
    "select i from t union all by name select i as i from t order by i limit 3",
    "values (1,'a'),(2,'b')",
    "from t select max(i)",
    "select * from (pivot t on g in (0,1,2) using sum(i) group by s) order by s limit 3",
    "select * from (select i,g from t) unpivot (val for name in (i,g)) order by all limit 5",
    "select a.i, b.i from t a asof join t b on a.ts >= b.ts + interval 3 hour order by 1",
    "select quantile_cont(v,[0.25,0.75]), mode(g), median(v), approx_quantile(v,0.5) from t",
    "select i in (1,2,null), null in (1) from t order by i limit 3",
    "select coalesce(v,0), ifnull(v,1), nullif(g,1), if(g=1,'y','n') from t order by i",
    'select max(i) - min(i) as "odd name", count(*) as n from t having count(*)>1',
    "select json_extract('{\"a\":[1,2]}','$.a[1]'), '{\"a\":{\"b\":5}}'->'a'->>'b', '{\"a\":1}'::json->>'$.a'",
    "select 1e3, .5, 1_000, 0x1F, 123456789012345678901234567890, true, null",
    "select sum(v) / count(*) * 2 - 1 from t",
    "select t.* from t where (g,i) in ((1,1),(2,2)) order by i",
    "select (g,i) = (1,1), row(1,2) from t order by i limit 2",
    "select * from t tablesample 100% order by i limit 1",
    "select count(*) from t a cross join t b positional join t c",
    "select date_diff('hour', ts, ts + interval 1 day), strftime(ts,'%Y-%m'), age(ts, ts) from t limit 1",
    "select s collate nocase = 'N1' from t order by i limit 2",
    "select trim(both 'n' from s), substring(s from 2 for 1), position('1' in s), overlay('abc' placing "
    "'X' from 2 for 1) from t order by i limit 2",
    "select first(i order by v desc nulls last), array_agg(i order by i)[1:2], max(s, 2), arg_max(i, v) from t",
    "select grouping(g), g, count(*) from t group by rollup(g) order by 1,2",
    "select g, i, lag(i,2,-1) over (partition by g order by i) from t order by g,i",
    "select * from generate_series(timestamp '2026-01-01', timestamp '2026-01-03', interval 1 day)",
    "select i from t limit (select 2)",
    "select i from t order by i limit 25%",
    "select i fetch_me from t order by 1 fetch first 2 rows only",
]


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute(TABLE)
    return made


@pytest.mark.parametrize("sql", QUERIES)
def test_what_is_written_from_the_tree_answers_as_the_text(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    ((tree,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    again = json.dumps(json.loads(tree))
    ((written,),) = connection.execute("SELECT json_deserialize_sql(?::JSON)", [again]).fetchall()
    assert connection.execute(written).fetchall() == connection.execute(sql).fetchall()
