"""The functions that SQL over the journal may use: what reads, names or changes anything else is not among them."""

_AGGREGATES = """
any_value approx_count_distinct approx_quantile arg_max arg_max_null arg_min arg_min_null argmax argmin array_agg avg
bool_and bool_or corr count count_if count_star countif covar_pop covar_samp entropy favg first fsum geomean
geometric_mean group_concat histogram kurtosis last list listagg mad max max_by mean median min min_by mode product
quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
regr_syy sem skewness stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance wavg weighted_avg
"""
_WINDOWS = """
cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense row_number
"""
_OPERATORS = """
+ - * / // % ^ ** & | << >> ~ || @ -> ->> ~~ !~~ ~~* !~~* ~~~ ^@ <@ @> && ilike_escape like_escape not_ilike_escape
not_like_escape
"""
_NUMBERS = """
abs acos add asin atan atan2 cbrt ceil ceiling cos degrees divide exp fdiv floor fmod gcd greatest isfinite isinf isnan
lcm least ln log log10 log2 mod multiply pi pow power radians round round_even sign sin sqrt subtract tan trunc
"""
_TEXT = """
ascii bar char_length chr concat concat_ws contains ends_with format instr lcase left len length like_escape lower lpad
ltrim md5 ord position prefix printf regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches
regexp_replace regexp_split_to_array replace reverse right rpad rtrim split split_part starts_with str_split
str_split_regex string_split string_split_regex string_to_array strip_accents strlen strpos substr substring suffix
translate trim ucase unicode upper
"""
_TIMES = """
century date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth
dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_us hour isodow isoyear julian last_day make_date
make_time make_timestamp make_timestamp_ms microsecond millisecond minute month monthname quarter second strftime
strptime time_bucket timezone to_days to_hours to_microseconds to_milliseconds to_minutes to_months to_quarters
to_seconds to_timestamp to_weeks to_years try_strptime week weekday weekofyear year yearweek
"""
_JSON = """
array_to_json from_json json json_array json_array_length json_contains json_exists json_extract json_extract_path
json_extract_path_text json_extract_string json_group_array json_group_object json_keys json_merge_patch json_object
json_pretty json_quote json_structure json_type json_valid json_value row_to_json to_json
"""
_LISTS = """
aggregate apply array_aggregate array_append array_apply array_concat array_contains array_distinct array_extract
array_filter array_has array_has_all array_has_any array_indexof array_length array_position array_prepend array_reduce
array_reverse array_reverse_sort array_slice array_sort array_to_string array_transform array_unique array_where
array_zip cardinality element_at filter flatten generate_series list_aggregate list_any_value list_append list_apply
list_avg list_concat list_contains list_count list_distinct list_element list_extract list_filter list_first
list_has_all list_has_any list_histogram list_indexof list_intersect list_last list_max list_median list_min list_mode
list_position list_prepend list_product list_reduce list_reverse list_reverse_sort list_select list_slice list_sort
list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop
list_var_samp list_where list_zip map map_concat map_contains map_entries map_extract map_extract_value
map_from_entries map_keys map_values range reduce row struct_concat struct_extract struct_insert struct_keys
struct_pack struct_values unnest
"""
_CHOICES = "coalesce constant_or_null if ifnull nullif typeof"

ALLOWED = frozenset(
    " ".join((_AGGREGATES, _WINDOWS, _OPERATORS, _NUMBERS, _TEXT, _TIMES, _JSON, _LISTS, _CHOICES)).split()
)
"""Functions and operators that an expression may call."""

TABLE_FUNCTIONS = frozenset(("generate_series", "json_each", "json_tree", "range", "unnest"))
"""Functions that may stand in FROM."""

MOMENT = {
    **dict.fromkeys(
        ("now", "current_timestamp", "get_current_timestamp", "transaction_timestamp", "localtimestamp"), "TIMESTAMP"
    ),
    "current_localtimestamp": "TIMESTAMP",
    **dict.fromkeys(("today", "current_date"), "DATE"),
}
"""What asks for the present, and the type that the moment of the question has in its place."""

PRESENT_COLUMNS = frozenset(name for name in MOMENT if name not in ("now", "today"))
"""Those of them that are written without parentheses, as a column is."""

NO_COLUMNS = frozenset(
    ("current_catalog", "current_role", "current_schema", "current_time", "current_user", "localtime", "session_user")
)
"""What looks like a column, and is about the database or the wall clock instead."""
