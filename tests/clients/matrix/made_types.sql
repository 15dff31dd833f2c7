-- A column of every type that no file here holds and that a statement can make; as in the table `types`, the first row is the
-- least value, the second the greatest or an odd one, the third NULL. Each client reads it as it stands.
SELECT
    id,
    arrow_cast(utf8, 'Utf8View') AS utf8_view,
    arrow_cast(binary, 'BinaryView') AS binary_view,
    arrow_cast(dictionary, 'RunEndEncoded("run_ends": non-null Int32, "values": Utf8)') AS run_end_encoded,
    arrow_cast(int64, 'Dictionary(UInt8, Int64)') AS dictionary_int64,
    arrow_cast(list, 'ListView(Int32)') AS list_view,
    arrow_cast(list, 'LargeListView(Int32)') AS large_list_view,
    arrow_cast(large_list, 'List(Utf8View)') AS list_of_views,
    arrow_cast(decimal_9_2, 'Decimal32(9, 2)') AS decimal32_9_2,
    arrow_cast(decimal_9_2, 'Decimal64(18, 2)') AS decimal64_18_2,
    arrow_cast(date32, 'Timestamp(Second, None)') AS timestamp_s,
    arrow_cast(time32_ms, 'Time32(Second)') AS time32_s,
    arrow_cast(time64_us, 'Time64(Nanosecond)') AS time64_ns,
    arrow_cast(CASE id WHEN 1 THEN -86400 WHEN 2 THEN 86399 END, 'Duration(Second)') AS duration_s,
    arrow_cast(CASE id WHEN 1 THEN -86400000 WHEN 2 THEN 86399999 END, 'Duration(Millisecond)') AS duration_ms,
    arrow_cast(CASE id WHEN 1 THEN -86400000000000 WHEN 2 THEN 86399999999000 END, 'Duration(Nanosecond)') AS duration_ns,
    arrow_cast(CASE id WHEN 1 THEN '-1 month' WHEN 2 THEN '1 year 2 months' END, 'Interval(YearMonth)') AS interval_year_month,
    arrow_cast(CASE id WHEN 1 THEN '-1 day' WHEN 2 THEN '1 day 2 hours' END, 'Interval(DayTime)') AS interval_day_time,
    CASE id WHEN 1 THEN INTERVAL '-1' MONTH WHEN 2 THEN INTERVAL '1 month 2 days 3.000004 seconds' END AS interval_month_day_nano,
    NULL AS nothing
FROM north.lab.types ORDER BY id
